//! Models that would answer wrongly: their creators are told by warnings of the statement, and
//! answers do not depend on what is answered beside them.

use predictsql_tests::Wire;

use super::{CREATE_TASK, answers, colours, create, create_text, proxy, right};

#[track_caller]
fn warned(session: &mut Wire, model: &str, (file, options): (&str, &str), words: &str) {
    let said = create(session, model, file, options);
    assert!(
        said.iter().any(|text| text.contains(words)),
        "{file}, {options}: {said:?}"
    );
}

#[test]
fn what_is_suspicious_of_a_model_is_told_to_the_client() {
    let proxy = proxy("suspicious", colours());
    let mut session = proxy.root();
    session.run(CREATE_TASK);
    let recipe = "mean = (123.675, 116.28, 103.53), std = (58.395, 57.12, 57.375)";
    let ones = "mean = (0.485, 0.456, 0.406), std = (0.229, 0.224, 0.225)";
    for (number, (file, options, words)) in [
        (
            "features_first",
            format!("size = 8, {recipe}"),
            "mean = (123.675, 116.28, 103.53) does not fit pixel values of 0..1",
        ),
        (
            "features_first",
            format!("size = 8, scale = 1, {ones}"),
            "mean = (0.485, 0.456, 0.406) does not fit pixel values of 0..255",
        ),
        (
            "features_first",
            "size = 8, std = 255".to_owned(),
            "std = (255, 255, 255) does not fit",
        ),
        ("probabilities", "size = 8".to_owned(), "output = 'softmax'"),
        (
            "quantised_probabilities",
            "size = 8".to_owned(),
            "output = 'softmax'",
        ),
        ("constant", "size = 8".to_owned(), "the same output"),
        ("standardised", "size = 8".to_owned(), "not finite"),
        ("dynamic", "size = 8".to_owned(), "one input at a time"),
        (
            "scaled_by_run",
            "size = 8".to_owned(),
            "one input at a time",
        ),
        (
            "scaled_by_run_of_4",
            "size = 8".to_owned(),
            "one input at a time",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        warned(&mut session, &format!("m{number}"), (file, &options), words);
    }
}

#[test]
fn usual_models_are_created_without_warnings() {
    let proxy = proxy("usual", colours());
    let mut session = proxy.root();
    session.run(CREATE_TASK);
    let recipe = "mean = (123.675, 116.28, 103.53), std = (58.395, 57.12, 57.375)";
    let ones = "mean = (0.485, 0.456, 0.406), std = (0.229, 0.224, 0.225)";
    for (number, (file, options)) in [
        ("features_first", "size = 8".to_owned()),
        ("features_first", format!("size = 8, {ones}")),
        ("features_first", format!("size = 8, scale = 1, {recipe}")),
        (
            "features_first",
            "size = 8, std = 0.00392156862745098".to_owned(),
        ),
        ("probabilities", "size = 8, output = 'softmax'".to_owned()),
        (
            "quantised_probabilities",
            "size = 8, output = 'softmax'".to_owned(),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let said = create(&mut session, &format!("n{number}"), file, &options);
        assert!(said.is_empty(), "{file}, {options}: {said:?}");
    }
    let error = session.error(&create_text(
        "no",
        "features_first",
        "size = 8, output = 'softmax'",
    ));
    assert!(error.message.contains("distribution"), "{error:?}");
}

#[test]
fn answers_do_not_depend_on_what_is_answered_beside_them() {
    let proxy = proxy("beside", colours());
    let mut session = proxy.root();
    session.run(CREATE_TASK);
    session.run("CREATE DATABASE IF NOT EXISTS as_they_are");
    session.run("CREATE TEMPORARY TABLE as_they_are.beside (n INT PRIMARY KEY, photo VARCHAR(40))");
    for file in ["dynamic", "scaled_by_run", "scaled_by_run_of_4"] {
        create(&mut session, file, file, "size = 8");
        session.run("SET @ml_cache = 'off'");
        let alone = session.value(&format!(
            "SELECT beside.predict_proba('{file}', 'red', 'dark_red.png')"
        ));
        assert!(alone.is_some());
        for count in [1, 2, 3, 7, 40] {
            session.run("DELETE FROM as_they_are.beside");
            let photos = ["light.png", "plain_white.png", "green.png"];
            let rows = (0..count).map(|n| format!("({n}, '{}')", photos[n % 3]));
            let rows = rows.chain([format!("({count}, 'dark_red.png')")]);
            let rows = rows.collect::<Vec<_>>().join(", ");
            session.run(&format!("INSERT INTO as_they_are.beside VALUES {rows}"));
            for cache in ["off", "on"] {
                session.run(&format!("SET @ml_cache = '{cache}'"));
                let ask = format!(
                    "SELECT beside.predict_proba('{file}', 'red', photo) FROM as_they_are.beside ORDER BY n"
                );
                let found = session.rows(&ask).pop().unwrap();
                assert_eq!(found[0], alone, "{file} beside {count}, cache {cache}");
            }
        }
    }
}

#[test]
fn an_image_without_an_answer_is_null_with_a_warning_and_the_others_are_answered() {
    let proxy = proxy("not_finite", colours());
    let mut session = proxy.root();
    session.run(CREATE_TASK);
    create(&mut session, "m", "standardised", "size = 8");
    assert_eq!(answers(&mut session, "not_finite", "m"), right());
    session.run("CREATE DATABASE IF NOT EXISTS as_they_are");
    session.run("CREATE TEMPORARY TABLE as_they_are.photos (n INT PRIMARY KEY, photo VARCHAR(40))");
    session.run(
        "INSERT INTO as_they_are.photos VALUES (1, 'red.png'), (2, 'plain_white.png'), (3, 'blue.png'), \
         (4, 'plain_black.png'), (5, 'green.png')",
    );
    let answer =
        session.run("SELECT n, not_finite.predict('m', photo) FROM as_they_are.photos ORDER BY n");
    assert_eq!(answer.warnings, 2);
    let said = session.rows("SHOW WARNINGS");
    let named = |row: &Vec<Option<String>>| {
        let text = row[2].as_deref().unwrap_or_default();
        text.contains("plain_") && text.contains("not finite")
    };
    assert!(said.len() == 2 && said.iter().all(named), "{said:?}");
    let grouped = session.rows(
        "SELECT not_finite.predict('m', photo) AS label, COUNT(*) FROM as_they_are.photos GROUP BY 1 ORDER BY 1",
    );
    let grouped: Vec<_> = grouped
        .iter()
        .map(|row| (row[0].as_deref(), row[1].as_deref()))
        .collect();
    let one = Some("1");
    assert_eq!(
        grouped,
        [
            (None, Some("2")),
            (Some("blue"), one),
            (Some("green"), one),
            (Some("red"), one)
        ]
    );
}
