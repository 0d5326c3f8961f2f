//! Outputs and inputs of other forms than one float32 tensor each.

use super::{CREATE_TASK, answers, colours, create, create_text, proxy, right};

#[test]
fn outputs_are_chosen_by_name_or_shape_and_never_by_order() {
    let proxy = proxy("outputs", colours());
    let mut session = proxy.root();
    session.run(CREATE_TASK);
    for file in [
        "features_first",
        "embedding_of_three",
        "four_axes",
        "no_batch",
    ] {
        assert!(
            create(&mut session, file, file, "size = 8").is_empty(),
            "{file}"
        );
        assert_eq!(answers(&mut session, "outputs", file), right(), "{file}");
    }
    let error = session.error(&create_text("two", "two_alike", "size = 8"));
    let both = ["'a': ", "'b': ", "output_name"];
    assert!(
        both.iter().all(|part| error.message.contains(part)),
        "{error:?}"
    );
    create(
        &mut session,
        "two",
        "two_alike",
        "size = 8, output_name = 'b'",
    );
    assert_eq!(answers(&mut session, "outputs", "two"), right());
    create(
        &mut session,
        "other",
        "two_alike",
        "size = 8, output_name = 'a'",
    );
    assert_ne!(answers(&mut session, "outputs", "other"), right());
    let shown = session.rows("SHOW CREATE MODEL two");
    let shown = shown[0]
        .iter()
        .flatten()
        .any(|text| text.contains("output_name = 'b'"));
    assert!(shown);
    let error = session.error(&create_text(
        "three",
        "two_alike",
        "size = 8, output_name = 'c'",
    ));
    assert!(error.message.contains("no output 'c'"), "{error:?}");
}

#[test]
fn numbers_of_other_types_are_taken_or_refused_by_name() {
    let proxy = proxy("types", colours());
    let mut session = proxy.root();
    session.run(CREATE_TASK);
    for (file, options) in [
        ("bytes_nhwc", "size = 8, layout = 'NHWC'"),
        ("bytes_nchw", "size = 8"),
        ("half", "size = 8"),
        ("half_out", "size = 8"),
        ("half_inside", "size = 8"),
    ] {
        assert!(
            create(&mut session, file, file, options).is_empty(),
            "{file}"
        );
        assert_eq!(answers(&mut session, "types", file), right(), "{file}");
    }
    for (file, options, words) in [
        ("bytes_nchw", "size = 8, mean = 0.5", "uint8"),
        ("encoded_bytes", "size = 8", "ImageDecoder"),
        ("double", "size = 8", "f64"),
    ] {
        let error = session.error(&create_text("refused", file, options));
        assert!(error.message.contains(words), "{file}: {error:?}");
    }
}

#[test]
fn one_column_is_the_second_of_two_classes() {
    let proxy = proxy("one_column", colours());
    let mut session = proxy.root();
    session.run("CREATE TASK colour CLASSES ('blue', 'red')");
    for (file, options) in [
        ("one_logit", "size = 8"),
        ("one_probability", "size = 8, output = 'probabilities'"),
    ] {
        let said = create(&mut session, file, file, options);
        assert!(
            said.len() == 1 && said[0].contains("that of 'red'"),
            "{said:?}"
        );
        let ask = format!(
            "SELECT one_column.predict('{file}', 'red.png'), one_column.predict('{file}', 'blue.png'), \
             ROUND(one_column.predict_proba('{file}', 'red', 'red.png'), 4), \
             ROUND(one_column.predict_proba('{file}', 'red', 'red.png') + \
                   one_column.predict_proba('{file}', 'blue', 'red.png'), 4)"
        );
        let row = &session.rows(&ask)[0];
        assert_eq!(row[0].as_deref(), Some("red"), "{file}");
        assert_eq!(row[1].as_deref(), Some("blue"), "{file}");
        let score: f64 = row[2].as_deref().unwrap().parse().unwrap();
        // Samples of 201 and 31: 1 / (1 + exp(-4 * 170 / 255)).
        assert!((score - 0.935).abs() < 0.01, "{file}: {score}");
        assert_eq!(row[3].as_deref().map(str::parse), Some(Ok(1.0)), "{file}");
    }
}

#[test]
fn inputs_with_names_of_other_columns_are_not_taken_by_order() {
    let proxy = proxy("telling_names", colours());
    let mut session = proxy.root();
    session
        .run("CREATE TASK t CLASSES ('a', 'b') INPUT (petal_length DOUBLE, sepal_length DOUBLE)");
    let model = "CREATE MODEL m FOR TASK t FROM 'small/telling_names.onnx'";
    let error = session.error(model);
    let both = ["sepal_length__cm_", "petal_length, sepal_length"];
    assert!(
        both.iter().all(|part| error.message.contains(part)),
        "{error:?}"
    );
    session.run("DROP TASK t");
    session.run(
        "CREATE TASK t CLASSES ('a', 'b') INPUT (petal_length__cm_ DOUBLE, sepal_length__cm_ DOUBLE)",
    );
    session.run(model);
    assert_eq!(
        session.value("SELECT telling_names.t(1, 3)").as_deref(),
        Some("a")
    );
}
