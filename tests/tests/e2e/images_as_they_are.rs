//! Images as people have them, through SQL: turned, in inks, transparent, damaged, and fitted to a
//! model's input as its options say.
//!
//! The models answer one pixel as a number, so that answers are compared with the pixels that
//! Pillow makes of the same files.

use std::path::PathBuf;

use predictsql_tests::process::checkout;
use predictsql_tests::{Proxy, Settings, Store, Wire};

fn images() -> PathBuf {
    checkout().join("executor/tests/images")
}

/// A proxy that reads the executor's images and models.
fn proxy(schema: &str) -> (Proxy, Wire) {
    let settings = Settings {
        schema: schema.to_owned(),
        image_roots: vec![images().join("unusual"), images().join("preprocessing")],
        model_roots: vec![checkout().join("executor/tests/models")],
        executor: "threads = 2".to_owned(),
        ..Settings::default()
    };
    let proxy = Proxy::start(Store::shared(), &settings);
    let session = proxy.root();
    (proxy, session)
}

/// Makes a task and its model, which answers the first or the last pixel.
fn make(session: &mut Wire, name: &str, which: &str, options: &str) {
    session.run(&format!("CREATE TASK {name} KIND REGRESSION"));
    session.run(&format!(
        "CREATE MODEL {name}_model FOR TASK {name} FROM '{which}_pixel.onnx' OPTIONS ({options})"
    ));
}

/// The pixel that a model of values of 0 to 255 sees of an image.
#[track_caller]
fn pixel(session: &mut Wire, schema: &str, task: &str, image: &str) -> Option<[u8; 3]> {
    let value = session.value(&format!("SELECT {schema}.{task}({image})"))?;
    let number: f64 = value.parse().unwrap();
    let [_, red, green, blue] = (number as u32).to_be_bytes();
    Some([red, green, blue])
}

#[track_caller]
fn assert_near(found: Option<[u8; 3]>, expected: &[u8], most: u8, what: &str) {
    let found = found.unwrap_or_else(|| panic!("{what}: NULL"));
    let is_near = found
        .iter()
        .zip(expected)
        .all(|(f, e)| f.abs_diff(*e) <= most);
    assert!(is_near, "{what}: {found:?}, not {expected:?}");
}

#[test]
fn unusual_images_have_the_pixels_that_pillow_sees() {
    let schema = "im_unusual";
    let (_proxy, mut session) = proxy(schema);
    let mut tasks = Vec::new();
    for (width, height) in [(21, 14), (14, 21), (37, 29)] {
        for which in ["first", "last"] {
            let name = format!("{which}_{width}");
            make(
                &mut session,
                &name,
                which,
                &format!("size = '{height}x{width}', scale = 1"),
            );
            tasks.push((width, which, name));
        }
    }
    let mut compared = 0;
    let folder = images().join("unusual/expected");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let expected = std::fs::read(&path).unwrap();
        let width = u16::from_le_bytes([expected[0], expected[1]]);
        let pixels = &expected[4..];
        let most = if name.contains(".jpg") || name.contains("lossy") {
            4
        } else {
            1
        };
        for (_, which, task) in tasks.iter().filter(|(of, ..)| *of == width) {
            let expected = match *which {
                "first" => &pixels[..3],
                _ => &pixels[pixels.len() - 3..],
            };
            let found = pixel(&mut session, schema, task, &format!("'{name}'"));
            assert_near(found, expected, most, &format!("{name} {which}"));
            compared += 1;
        }
    }
    assert!(compared > 120, "{compared}");
}

#[test]
fn damaged_and_foreign_images_are_null_with_a_warning_that_says_why() {
    let schema = "im_refused";
    let (_proxy, mut session) = proxy(schema);
    make(&mut session, "first", "first", "size = 8, scale = 1");
    for (name, reason) in [
        ("cut.png", "damaged or unsupported PNG"),
        ("cut.jpg", "is a JPEG that is cut off"),
        ("cut.gif", "damaged or unsupported GIF"),
        ("cut.bmp", "damaged or unsupported BMP"),
        ("cut.webp", "is a WebP that is cut off"),
        ("cut_chroma_finer.jpg", "is a JPEG that is cut off"),
        ("wrong_data.png", "damaged or unsupported PNG"),
        ("wrong_header.png", "is a damaged PNG"),
        ("named.tif", "is in the format TIFF, which is not read"),
        ("named.avif", "is in the format AVIF, which is not read"),
    ] {
        assert_eq!(
            pixel(&mut session, schema, "first", &format!("'{name}'")),
            None,
            "{name}"
        );
        let warnings = session.rows("SHOW WARNINGS");
        let message = warnings[0][2].as_deref().unwrap();
        assert!(
            warnings.len() == 1 && message.contains(reason),
            "{name}: {warnings:?}"
        );
    }
}

/// A file's bytes as a literal.
fn literal(name: &str) -> String {
    let bytes = std::fs::read(images().join("unusual").join(name)).unwrap();
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    format!("x'{}'", digits.collect::<String>())
}

#[test]
fn options_change_what_a_model_sees_of_the_same_file() {
    let schema = "im_options";
    let (_proxy, mut session) = proxy(schema);
    let size = "size = '14x21', scale = 1";
    for (task, options) in [
        ("plain", ""),
        ("bgr", ", channel_order = 'BGR'"),
        ("as_stored", ", orientation = 'ignore'"),
        ("over_black", ", background = 'black'"),
        ("over_colour", ", background = '#0a64c8'"),
        ("dropped", ", background = 'none'"),
    ] {
        make(&mut session, task, "first", &format!("{size}{options}"));
    }
    let mut of = |task: &str, image: &str| pixel(&mut session, schema, task, image).unwrap();
    // Bytes are answered like files.
    let opaque = of("plain", "'orientation_0.jpg'");
    assert_eq!(of("plain", &literal("orientation_0.jpg")), opaque);
    let [red, green, blue] = opaque;
    assert_eq!(of("bgr", "'orientation_0.jpg'"), [blue, green, red]);
    assert_ne!(red, blue);
    // 2: the first pixel is the last one of the first stored row.
    assert_ne!(of("plain", &literal("orientation_2.jpg")), opaque);
    assert_eq!(of("as_stored", &literal("orientation_2.jpg")), opaque);
    // The first pixel is transparent, and a light red is below.
    let image = literal("transparent.png");
    assert_eq!(of("plain", &image), [255; 3]);
    assert_eq!(of("over_black", &image), [0; 3]);
    assert_eq!(of("over_colour", &image), [10, 100, 200]);
    let below = of("dropped", &image);
    assert_near(Some(below), &opaque, 6, "without transparency");
    // All at once, cached or not: each keeps what it saw.
    for cache in ["on", "off"] {
        session.run(&format!("SET @{schema}_cache = '{cache}'"));
        let row = session.rows(&format!(
            "SELECT {schema}.over_black(p) = 0, {schema}.plain(p) = 16777215, \
             {schema}.over_colour(p) = 681160 FROM (SELECT {image} p) i"
        ));
        assert_eq!(row, [vec![Some("1".to_owned()); 3]], "cache {cache}");
    }
}

#[test]
fn values_are_scaled_before_mean_and_std() {
    let schema = "im_scale";
    let (_proxy, mut session) = proxy(schema);
    for (task, options) in [
        ("whole", "scale = 1"),
        ("parts", ""),
        ("quotient", "scale = '1/255'"),
        (
            "caffe",
            "scale = 1, mean = (10, 20, 30), channel_order = 'BGR'",
        ),
    ] {
        let comma = if options.is_empty() { "" } else { ", " };
        make(
            &mut session,
            task,
            "first",
            &format!("size = '14x21'{comma}{options}"),
        );
    }
    let mut of = |task: &str| -> f64 {
        let call = format!("SELECT {schema}.{task}('sixteen_bits.png')");
        session.value(&call).unwrap().parse().unwrap()
    };
    let whole = of("whole");
    let [_, red, green, blue] = (whole as u32).to_be_bytes().map(f64::from);
    assert!(whole > 1000.0 && (of("parts") - whole / 255.0).abs() < 0.01);
    assert_eq!(of("parts"), of("quotient"));
    // Mean in the order of the model's channels: blue first.
    let expected = (blue - 10.0) * 65536.0 + (green - 20.0) * 256.0 + (red - 30.0);
    assert!((of("caffe") - expected).abs() < 1.0, "{expected}");
}

#[test]
fn every_way_to_resize_shows_its_own_part_of_the_image() {
    let schema = "im_resize";
    let (_proxy, mut session) = proxy(schema);
    let cases = std::fs::read(images().join("preprocessing/cases.json")).unwrap();
    let cases: serde_json::Value = serde_json::from_slice(&cases).unwrap();
    let image = images().join("preprocessing/turned_6.png");
    let image = format!("'{}'", image.display());
    let mut seen = std::collections::BTreeSet::new();
    for (number, case) in cases.as_array().unwrap().iter().enumerate() {
        let options = &case["preprocessing"];
        let text = |key: &str| options[key].as_str().unwrap().to_owned();
        let filter = text("interpolation");
        let is_shown = case["file"] == "turned_6.png" && case["channels"] == 3;
        if !is_shown || !matches!(filter.as_str(), "bicubic" | "nearest") {
            continue;
        }
        let (width, height) = (&case["size"][0], &case["size"][1]);
        let resize = text("resize");
        let more = match resize.as_str() {
            "pad" | "letterbox" => format!("pad = '{}'", text("pad")),
            _ => format!("crop_fraction = {}", options["crop_fraction"]),
        };
        let expected = case["expected"].as_str().unwrap();
        for which in ["first", "last"] {
            let task = format!("{which}_{number}");
            let given = format!(
                "size = '{height}x{width}', scale = 1, resize = '{resize}', \
                 interpolation = '{filter}', {more}"
            );
            make(&mut session, &task, which, &given);
            let found = pixel(&mut session, schema, &task, &image).unwrap();
            let found = found.map(|sample| format!("{sample:02x}")).concat();
            let expected = match which {
                "first" => &expected[..6],
                _ => &expected[expected.len() - 6..],
            };
            assert_eq!(found, expected, "{given} {which}");
            seen.insert((which, found));
        }
    }
    // The ways differ in what is in the corners.
    assert!(seen.len() >= 12, "{seen:?}");
}

#[test]
fn a_model_is_what_its_definition_creates() {
    let schema = "im_shown";
    let (_proxy, mut session) = proxy(schema);
    let options = "size = '14x21', scale = 1, resize = 'letterbox', pad = '#0a64c8', \
                   interpolation = 'lanczos', channel_order = 'BGR', orientation = 'ignore', \
                   background = 'none'";
    make(&mut session, "given", "first", options);
    let definition = session.rows("SHOW CREATE MODEL given_model")[0]
        .iter()
        .flatten()
        .find(|cell| cell.starts_with("CREATE MODEL"))
        .unwrap()
        .clone();
    for part in options.split(", ").filter(|part| !part.contains("BGR")) {
        let part = part.trim();
        assert!(definition.contains(part), "{definition} lacks {part}");
    }
    assert!(definition.contains("channel_order = BGR"), "{definition}");
    session.run("CREATE TASK again KIND REGRESSION");
    session.run(
        &definition
            .replace("`given_model`", "`again_model`")
            .replace("`given`", "`again`"),
    );
    for image in ["orientation_6.jpg", "transparent.webp", "inks.jpg"] {
        let same = session.value(&format!(
            "SELECT {schema}.given('{image}') = {schema}.again('{image}')"
        ));
        assert_eq!(same.as_deref(), Some("1"), "{image}");
    }
}

#[test]
fn wrong_options_are_refused_with_what_is_right() {
    let schema = "im_wrong";
    let (_proxy, mut session) = proxy(schema);
    session.run("CREATE TASK t KIND REGRESSION");
    for (options, part) in [
        ("resize = 'fit'", "'stretch', 'crop', 'pad' or 'letterbox'"),
        ("crop_fraction = 87.5", "a number from 0.1 to 1"),
        ("resize = 'pad', crop_fraction = 0.875", "crops nothing"),
        (
            "interpolation = 'area'",
            "'bilinear', 'bicubic', 'nearest' or 'lanczos'",
        ),
        ("channel_order = 'GBR'", "'RGB' or 'BGR'"),
        ("channels = 1, channel_order = 'BGR'", "3 channels"),
        ("scale = 0", "1/255"),
        ("orientation = 6", "'exif' or 'ignore'"),
        ("background = 'transparent'", "'#rrggbb' or 'none'"),
        ("pad = 'white'", "for resize = 'pad' or 'letterbox'"),
        ("resise = 'crop'", "Unknown option 'resise'"),
    ] {
        let error = session.error(&format!(
            "CREATE MODEL m FOR TASK t FROM 'first_pixel.onnx' OPTIONS (size = 8, {options})"
        ));
        assert!(error.message.contains(part), "{options}: {error:?}");
    }
    assert_eq!(session.rows("SHOW MODELS").len(), 0);
}
