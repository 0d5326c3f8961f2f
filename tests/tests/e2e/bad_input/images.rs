//! Images whose headers promise more than there is, or more than there is memory for.

use std::fs;

use predictsql_tests::process::checkout;

use super::{Place, check_usable};

/// What the proxy may need for some small statements besides what it has, in KiB.
const GROWTH_KIB_MAX: u64 = 32 << 10;

/// The most memory that a process has had so far, in KiB.
fn peak_kib(place: &Place) -> u64 {
    let pid = place.proxy.pid().as_raw_nonzero();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.unwrap().split_whitespace().nth(1);
    number.unwrap().parse().unwrap()
}

/// Each is NULL and a warning that says why.
fn check_unreadable(place: &Place, cases: &[(&str, &str)]) {
    let mut session = place.session();
    for (name, words) in cases {
        let label = session.value(&format!("SELECT {}.colour('{name}')", place.schema));
        assert_eq!(label, None, "{name}");
        let warnings = session.rows("SHOW WARNINGS");
        let text = warnings.first().and_then(|row| row.get(2).cloned());
        let text = text.flatten().unwrap_or_default();
        assert!(text.contains(words), "{name}: {text}");
    }
    check_usable(&mut session, place.schema);
}

#[test]
fn a_small_file_of_a_wide_image_takes_no_memory() {
    let place = Place::new("wide_ml");
    let wide = |name: &str| place.images.join(name);
    image::RgbImage::new(4_000_000, 1)
        .save(wide("wide.png"))
        .unwrap();
    image::GrayImage::new(60_000_000, 1)
        .save(wide("wider.png"))
        .unwrap();
    image::GrayImage::new(1, 4_000_000)
        .save(wide("high.png"))
        .unwrap();
    image::GrayImage::new(65_535, 1)
        .save(wide("widest.png"))
        .unwrap();
    check_usable(&mut place.session(), place.schema);
    let before = peak_kib(&place);
    check_unreadable(
        &place,
        &[
            (
                "wide.png",
                "is too wide or too high an image (4000000 x 1 pixels, limit 65535 pixels a side)",
            ),
            ("wider.png", "(60000000 x 1 pixels"),
            ("high.png", "(1 x 4000000 pixels"),
        ],
    );
    let widest = format!("SELECT {}.colour('widest.png') IS NOT NULL", place.schema);
    assert_eq!(place.session().value(&widest).as_deref(), Some("1"));
    let after = peak_kib(&place);
    assert!(after < before + GROWTH_KIB_MAX, "{before} to {after} KiB");
}

#[test]
fn a_jpeg_whose_data_end_early_is_unreadable() {
    let place = Place::new("early_ml");
    for kind in ["rgb", "subsampled", "progressive", "grey"] {
        let whole = fs::read(checkout().join(format!("executor/tests/images/{kind}.jpg"))).unwrap();
        fs::write(place.images.join(format!("{kind}.jpg")), &whole).unwrap();
        let frame = whole
            .windows(2)
            .position(|pair| matches!(pair, [0xff, 0xc0 | 0xc2]));
        let mut higher = whole.clone();
        higher[frame.unwrap() + 6] += 16;
        fs::write(place.images.join(format!("{kind}-higher.jpg")), higher).unwrap();
        let mut cut = whole[..whole.len() - 40].to_vec();
        cut.extend([0xff, 0xd9]);
        fs::write(place.images.join(format!("{kind}-cut.jpg")), cut).unwrap();
        let (higher, cut) = (format!("{kind}-higher.jpg"), format!("{kind}-cut.jpg"));
        check_unreadable(&place, &[(&higher, "cut off"), (&cut, "cut off")]);
        let label = format!("SELECT {}.colour('{kind}.jpg') IS NOT NULL", place.schema);
        assert_eq!(
            place.session().value(&label).as_deref(),
            Some("1"),
            "{kind}"
        );
    }
}
