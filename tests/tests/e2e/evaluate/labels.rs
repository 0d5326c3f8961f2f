//! Labels as tables have them: in another case, with spaces and line ends, decomposed, as numbers;
//! what is no class, and models whose labels are wrong.

use predictsql_tests::{Wire, apparel};

use super::{LABELLED, proxy, session};

/// Answer and warnings of an EVALUATE.
fn evaluate(
    session: &mut Wire,
    target: &str,
    rest: &str,
) -> (Vec<Vec<Option<String>>>, Vec<String>) {
    let rows = session.run(&format!("EVALUATE {target} ON {rest}")).rows;
    let said = session.rows("SHOW WARNINGS");
    let said = said.into_iter().map(|mut row| row.swap_remove(2).unwrap());
    (rows, said.collect())
}

/// Rows, both accuracies, and how the rows were used: what labels decide.
fn figures(row: &[Option<String>]) -> Vec<Option<String>> {
    [&row[2..5], &row[7..]].concat()
}

#[test]
fn spellings_of_a_class_are_the_class() {
    let proxy = proxy("ev_labels", &["apparel_nano"]);
    let mut session = session(&proxy, "ev_labels");
    let (exact, said) = evaluate(&mut session, "TASK apparel", &format!("({LABELLED})"));
    assert_eq!(said, [""; 0]);
    session.run(
        "CREATE TABLE odd (photo VARCHAR(99), fixed CHAR(20), latin VARCHAR(40) CHARSET latin1, \
                 binary_one VARCHAR(40) COLLATE utf8mb4_bin, bytes VARBINARY(60))",
    );
    session.run(&format!(
        "INSERT INTO odd SELECT photo, label, UPPER(label), LOWER(label), CONCAT(label, '\\r\\n') FROM ({LABELLED}) l"
    ));
    for label in [
        "UPPER(fixed)",
        "CONCAT(fixed, '\\r')",
        "CONCAT(' \\t', fixed, ' ')",
        "CONCAT(CHAR(0xEFBBBF USING utf8mb4), fixed)",
        "fixed",
        "latin",
        "binary_one",
        "bytes",
    ] {
        let (rows, said) = evaluate(
            &mut session,
            "TASK apparel",
            &format!("(SELECT photo, {label} FROM odd)"),
        );
        assert_eq!(figures(&rows[0]), figures(&exact[0]), "{label}");
        assert_eq!(said, [""; 0], "{label}");
    }
    session.run("SET sql_mode = CONCAT(@@sql_mode, ',PAD_CHAR_TO_FULL_LENGTH')");
    for names in ["latin1", "utf8mb3", "utf8mb4"] {
        session.run(&format!("SET NAMES {names}"));
        let (rows, said) = evaluate(
            &mut session,
            "TASK apparel",
            "(SELECT photo, fixed FROM odd)",
        );
        assert_eq!(figures(&rows[0]), figures(&exact[0]), "{names}");
        assert_eq!(said, [""; 0], "{names}");
    }
}

#[test]
fn what_is_no_class_is_shown_with_the_nearest_one() {
    let proxy = proxy("ev_foreign", &["apparel_nano"]);
    let mut session = session(&proxy, "ev_foreign");
    let rows = "(SELECT photo, CASE WHEN label = 'Bag' THEN 'Bagg' WHEN label = 'Coat' \
                THEN REPEAT('ż', 255) WHEN label = 'Dress' THEN NULL ELSE label END FROM \
                (SELECT p.photo, t.label FROM products p JOIN truth t ON t.id = p.id) l)";
    let count = |session: &mut Wire, class: &str| {
        let sql = format!("SELECT COUNT(*) FROM truth WHERE label = '{class}'");
        session.value(&sql).unwrap()
    };
    let (bags, coats) = (count(&mut session, "Bag"), count(&mut session, "Coat"));
    let dresses = count(&mut session, "Dress");
    let (answer, said) = evaluate(&mut session, "TASK apparel", rows);
    let foreign: u64 = bags.parse::<u64>().unwrap() + coats.parse::<u64>().unwrap();
    assert_eq!(answer[0][7], Some(foreign.to_string()));
    assert_eq!(answer[0][8].as_deref(), Some(dresses.as_str()));
    assert_eq!(answer[0][9], Some(format!("{dresses} without a label")));
    let told = said
        .iter()
        .find(|text| text.contains("no class of task 'apparel'"))
        .unwrap();
    for part in [
        format!("{foreign} rows have a label"),
        format!("'Bagg' ({bags} rows, nearest class 'Bag')"),
        format!("'{}' ({coats} rows", "ż".repeat(255)),
    ] {
        assert!(told.contains(&part), "{told}");
    }
    let (kept, said) = evaluate(
        &mut session,
        "TASK apparel",
        &format!("{rows} OPTIONS (foreign = 'keep')"),
    );
    assert_eq!(figures(&kept[0]), figures(&answer[0]));
    assert_eq!(
        said,
        [format!("{dresses} rows without a label are left out")]
    );
    let error = session.error(&format!(
        "EVALUATE TASK apparel ON {rows} OPTIONS (foreign = 'drop')"
    ));
    assert_eq!(error.code, 1064, "{error:?}");
}

/// A task of two classes and a model of it.
fn create_signs(session: &mut Wire, task: &str, [one, other]: [&str; 2]) {
    session.run(&format!("CREATE TASK {task} CLASSES ('{one}', '{other}')"));
    let mut models = apparel::zoo().iter();
    let model = models.find(|m| m.name == "bag_tiny_other").unwrap();
    let file = model.file.file_name().unwrap().to_string_lossy();
    session.run(&format!(
        "CREATE MODEL {task}_m FOR TASK {task} FROM '{file}' OPTIONS (size = 28, channels = 1, \
         labels = ('{one}', 'rest', '{other}'), other = 'rest')"
    ));
}

/// The classes that labels of the first photos were taken for, and whether any was foreign.
fn taken_for(session: &mut Wire, task: &str, label: &str) -> Vec<Option<String>> {
    let (_, said) = evaluate(
        session,
        &format!("TASK {task}"),
        &format!("(SELECT photo, {label} FROM products WHERE id <= 20)"),
    );
    let mut truths: Vec<Option<String>> = session
        .rows(&format!(
            "SELECT DISTINCT truth FROM ev_values.confusion WHERE model = '{task}_m' ORDER BY truth"
        ))
        .into_iter()
        .map(|mut row| row.swap_remove(0))
        .collect();
    truths.sort();
    let warned = said.iter().any(|text| text.contains("no class"));
    assert_eq!(warned, truths.contains(&None), "{label}: {said:?}");
    truths
}

#[test]
fn numbers_truth_values_and_composition_are_compared_by_what_they_mean() {
    let proxy = proxy("ev_values", &[]);
    let mut session = session(&proxy, "ev_values");
    create_signs(&mut session, "digits", ["0", "1"]);
    create_signs(&mut session, "truths", ["false", "true"]);
    create_signs(&mut session, "words", ["café", "thé"]);
    create_signs(&mut session, "cases", ["resume", "Résumé"]);
    let some = |classes: [&str; 2]| classes.map(|class| Some(class.to_owned())).to_vec();
    session.run("ALTER TABLE products ADD bits BIT(1), ADD flag BOOLEAN");
    session.run("UPDATE products SET bits = id % 2, flag = id % 2");
    for label in [
        "id % 2",
        "CAST(id % 2 AS DECIMAL(4, 2))",
        "(id % 2) * 1e0",
        "LPAD(id % 2, 3, '0')",
        "bits",
        "flag",
        "IF(id % 2, 'TRUE', 'False')",
    ] {
        assert_eq!(
            taken_for(&mut session, "digits", label),
            some(["0", "1"]),
            "{label}"
        );
        let truths = taken_for(&mut session, "truths", label);
        assert_eq!(truths, some(["false", "true"]), "{label}");
    }
    let decomposed = "IF(id % 2, 'cafe\u{301}', ' THE\u{301} ')";
    assert_eq!(
        taken_for(&mut session, "words", decomposed),
        some(["café", "thé"])
    );
    // By the collation both classes: neither, unless it is one of them.
    let ambiguous = "IF(id % 2, 'RESUME', 'Résumé')";
    let found = taken_for(&mut session, "cases", ambiguous);
    assert_eq!(found, [None, Some("Résumé".to_owned())]);
}

#[test]
fn a_model_with_permuted_labels_is_told_so() {
    let proxy = proxy("ev_permuted", &["apparel_nano"]);
    let mut session = session(&proxy, "ev_permuted");
    let (_, said) = evaluate(&mut session, "TASK apparel", &format!("({LABELLED})"));
    assert_eq!(said, [""; 0]);
    let mut models = apparel::zoo().iter();
    let right = models.find(|m| m.name == "apparel_nano").unwrap();
    let mut labels = right.labels.clone();
    labels.rotate_left(1);
    let quoted: Vec<String> = labels
        .iter()
        .map(|label| format!("'{}'", label.replace('\'', "''")))
        .collect();
    let first: Vec<String> = right
        .labels
        .iter()
        .map(|label| format!("'{}'", label.replace('\'', "''")))
        .collect();
    let statement = right.statement();
    assert!(statement.contains(&first.join(", ")), "{statement}");
    let wrong = statement
        .replace(&first.join(", "), &quoted.join(", "))
        .replacen("apparel_nano", "rotated", 1);
    session.run(&wrong);
    let (_, said) = evaluate(&mut session, "MODEL rotated", &format!("({LABELLED})"));
    let (was, is) = (&right.labels[0], &labels[0]);
    for part in [
        "worse than guessing".to_owned(),
        format!("'{was}' is answered '{is}'"),
    ] {
        assert!(
            said.iter().any(|text| text.contains(&part)),
            "{said:?} lacks {part}"
        );
    }
}
