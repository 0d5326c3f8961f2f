//! A real Triton as the external server of a proxy: `make test-triton` installs it, and runs this.
#![allow(clippy::unwrap_used)]

mod server;

use predictsql_tests::{Proxy, Settings, Store, Wire, apparel};
use server::{Triton, models};

/// A proxy that may use a server, and a session with it.
fn proxy_of(schema: &str, triton: &Triton) -> (Proxy, Wire) {
    let settings = Settings {
        schema: schema.to_owned(),
        executor: format!("external_oip_hosts = [\"{}\"]\n", triton.address()),
        ..Settings::default()
    };
    let proxy = Proxy::start(Store::shared(), &settings);
    let session = proxy.root();
    (proxy, session)
}

/// A PNG of one colour as a literal of SQL.
fn png([red, green, blue]: [u8; 3]) -> String {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 8, 8);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().unwrap();
    writer
        .write_image_data(&[red, green, blue].repeat(64))
        .unwrap();
    writer.finish().unwrap();
    let hex: String = file.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("x'{hex}'")
}

#[test]
fn answers_of_an_onnx_model_in_triton_are_those_of_the_own_process() {
    let triton = Triton::start(&[models::onnx("nano", "apparel_nano.onnx")]);
    let (_proxy, mut session) = proxy_of("triton_onnx", &triton);
    apparel::create_zoo(&mut session, |name| name == "apparel_nano");
    apparel::create_shop(&mut session, "triton_shop");
    let own = apparel::zoo()[0].statement();
    let there = own.replace("'apparel_nano.onnx'", &triton.literal("nano/1"));
    session.run(&there.replace("CREATE MODEL apparel_nano", "CREATE MODEL nano_there"));
    session.run("SET @ml_cache = 'off'");
    for asked in [
        "predict('MODEL', photo)",
        "predict_proba('MODEL', 'Bag', photo)",
    ] {
        let [own, there] = ["apparel_nano", "nano_there"].map(|model| {
            let asked = asked.replace("MODEL", model);
            let sql =
                format!("SELECT id, triton_onnx.{asked} FROM triton_shop.products ORDER BY id");
            session.rows(&sql)
        });
        assert_eq!(own.len(), apparel::PHOTOS);
        assert_eq!(own, there, "{asked}");
    }
    let missing = there.replace("/nano/1", "/nano/2");
    let error = session.error(&missing.replace("CREATE MODEL apparel_nano", "CREATE MODEL second"));
    assert_eq!(error.code, 1105, "{error:?}");
    assert!(error.message.contains("nano"), "{error:?}");
}

#[test]
fn images_of_each_type_are_answered_as_the_model_computes_them() {
    let triton = Triton::start(&[
        models::colour("colour", "FP32", 8),
        models::colour("colour_half", "FP16", 3),
        models::colour("colour_bytes", "UINT8", 2),
    ]);
    let (_proxy, mut session) = proxy_of("triton_colour", &triton);
    session.run("CREATE TASK paint CLASSES ('red', 'green', 'blue')");
    let colours = [
        [255, 0, 0],
        [10, 200, 31],
        [0, 100, 101],
        [7, 7, 7],
        [90, 80, 99],
    ];
    for (name, tolerance) in [
        ("colour", 2e-6),
        ("colour_half", 1e-2),
        ("colour_bytes", 2e-6),
    ] {
        // The size comes from the server's metadata.
        session.run(&format!(
            "CREATE MODEL {name} FOR TASK paint FROM {} \
             OPTIONS (labels = ('red', 'green', 'blue'), output = 'logits', mean = 0, std = 1)",
            triton.literal(name)
        ));
        let of = |colour: &[u8; 3]| {
            let of_label = |label| {
                let png = png(*colour);
                format!("triton_colour.predict_proba('{name}', '{label}', {png})")
            };
            ["red", "green", "blue"].map(of_label).join(", ")
        };
        let asked: Vec<String> = colours.iter().map(of).collect();
        let rows = session.rows(&format!("SELECT {}", asked.join(", ")));
        for (colour, scores) in colours.iter().zip(rows[0].chunks(3)) {
            let raised = colour.map(|sample| (10.0 * f64::from(sample) / 255.0).exp());
            let sum: f64 = raised.iter().sum();
            for (raised, score) in raised.iter().zip(scores) {
                let score: f64 = score.as_ref().unwrap().parse().unwrap();
                assert!(
                    (score - raised / sum).abs() < tolerance,
                    "{name} {colour:?} {scores:?}"
                );
            }
        }
    }
}

#[test]
fn rows_of_columns_are_answered_and_failures_are_told() {
    let mut triton = Triton::start(&[models::sums("sums")]);
    let (_proxy, mut session) = proxy_of("triton_sums", &triton);
    session.run(
        "CREATE TASK basket KIND REGRESSION INPUT (name VARCHAR, price DOUBLE, pieces DOUBLE)",
    );
    let create = format!(
        "CREATE MODEL sums FOR TASK basket FROM {}",
        triton.literal("sums")
    );
    session.run(&create);
    let mut value = |name: &str, price: f64, pieces: f64| {
        session.query(&format!(
            "SELECT triton_sums.basket('{name}', {price:?}, {pieces:?})"
        ))
    };
    let answers: Vec<f64> = [("abc", 1.5, 4.0), ("äö", -2.25, 3.0), ("", 0.0, 7.0)]
        .into_iter()
        .map(|(name, price, pieces)| {
            let answers = value(name, price, pieces).unwrap();
            answers[0].rows[0][0].as_ref().unwrap().parse().unwrap()
        })
        .collect();
    assert_eq!(answers, [9.0, -4.75, 0.0]);
    assert_eq!(value("nan", 1.0, 1.0).unwrap()[0].rows[0][0], None);
    let error = value("fail", 1.0, 1.0).unwrap_err();
    assert_eq!(error.code, 1105, "{error:?}");
    assert!(
        error.message.contains("the model was asked to fail"),
        "{error:?}"
    );

    triton.stop();
    let error = value("abc", 9.0, 9.0).unwrap_err();
    assert_eq!(error.code, 1105, "{error:?}");
    let told = format!("server {} does not answer", triton.address());
    assert!(error.message.contains(&told), "{error:?}");
    triton.restart();
    let answers = value("abc", 9.0, 9.0).unwrap();
    assert_eq!(answers[0].rows[0][0].as_deref(), Some("84"));
}
