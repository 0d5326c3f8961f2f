//! Random statements over a task answer as over a stored column of its predictions, cell by cell.

use predictsql_tests::apparel::CLASSES;

use super::with_stored;
use crate::differential::generator::choices::{Choices, seed_of, usual_seed};

const STATEMENTS: usize = 150;

/// A condition over `@`, which stands for the prediction.
fn condition(choices: &mut Choices, depth: usize) -> String {
    let class = choices.pick(&CLASSES);
    let other = choices.pick(&CLASSES);
    let number = choices.number(60);
    match choices.number(if depth > 0 { 16 } else { 12 }) {
        0 => format!("@ = '{class}'"),
        1 => format!("@ <> '{class}'"),
        2 => format!("@ IN ('{class}', '{other}')"),
        3 => format!("@ NOT IN ('{class}', '{other}', 'none of them')"),
        4 => format!("@ LIKE '%{}%'", &class[..1]),
        5 => format!("@ BETWEEN '{class}' AND '{other}'"),
        6 => format!("CHAR_LENGTH(@) > {}", number % 10),
        7 => format!("@ REGEXP '^{}'", &other[..1]),
        8 => "@ IS NOT NULL".to_owned(),
        9 => format!("COALESCE(@, 'nothing') < '{class}'"),
        10 => format!("UPPER(@) = UPPER('{class}')"),
        11 => format!("IF(@ = '{class}', price > {number}, stock > {number})"),
        12 => format!("({}) AND price > {number}", condition(choices, depth - 1)),
        13 => format!(
            "({}) OR stock < {}",
            condition(choices, depth - 1),
            number % 9
        ),
        14 => format!("NOT ({})", condition(choices, depth - 1)),
        _ => {
            let (one, two) = (condition(choices, depth - 1), condition(choices, depth - 1));
            format!("({one}) XOR ({two})")
        }
    }
}

/// A statement over table `T p`, with `@` for the prediction.
fn statement(choices: &mut Choices) -> String {
    let wanted = condition(choices, 2);
    let class = choices.pick(&CLASSES);
    match choices.number(14) {
        0 => format!("SELECT id, @ FROM T p WHERE {wanted} ORDER BY id"),
        1 => format!("SELECT id FROM T p WHERE {wanted} ORDER BY id"),
        2 => format!("SELECT COUNT(*), SUM(price) FROM T p WHERE {wanted}"),
        3 => format!("SELECT @ k, COUNT(*) FROM T p WHERE {wanted} GROUP BY k ORDER BY k"),
        4 => format!("SELECT SUM({wanted}), COUNT(DISTINCT @) FROM T p"),
        5 => format!("SELECT id, {wanted} c FROM T p ORDER BY id"),
        6 => format!("SELECT DISTINCT @ k FROM T p WHERE {wanted} ORDER BY k"),
        7 => format!(
            "SELECT id, CASE @ WHEN '{class}' THEN 1 ELSE {wanted} END c FROM T p ORDER BY id"
        ),
        8 => "SELECT @ k, MAX(price) m FROM T p GROUP BY k HAVING m > 50 ORDER BY m, k".to_owned(),
        9 => format!("SELECT id FROM T p WHERE {wanted} ORDER BY @, id LIMIT 20"),
        10 => format!(
            "SELECT id, RANK() OVER (PARTITION BY @ ORDER BY price, id) r FROM T p WHERE {wanted} ORDER BY id"
        ),
        11 => format!(
            "SELECT k, COUNT(*) FROM (SELECT @ k, price FROM T p WHERE {wanted}) d WHERE price > 40 GROUP BY k ORDER BY k"
        ),
        12 => "SELECT COUNT(*) FROM T p WHERE EXISTS \
               (SELECT 1 FROM truth t WHERE t.id = p.id AND t.label = @)"
            .to_owned(),
        _ => format!(
            "SELECT id, 'a' w FROM T p WHERE {wanted} UNION ALL SELECT id, @ FROM T p WHERE @ = '{class}' ORDER BY 1, 2"
        ),
    }
}

#[test]
fn random_statements_agree_with_a_stored_column() {
    let schema = "st_random";
    let (_proxy, mut session) = with_stored(schema);
    session.run(&format!(
        "CREATE VIEW predicted AS SELECT p.*, {schema}.apparel(p.photo) AS kind FROM products p"
    ));
    session.run(
        "CREATE VIEW known AS SELECT p.*, s.label AS kind FROM products p JOIN stored s ON s.id = p.id",
    );
    let seed = usual_seed();
    println!("seed {seed}");
    let mut told = 0;
    for number in 0..STATEMENTS {
        let text = statement(&mut Choices::seeded(seed_of(seed, number)));
        let over = |table: &str, prediction: &str| {
            text.replace(" T p", &format!(" {table} p"))
                .replace('@', prediction)
        };
        let expected = session.rows(&over("known", "p.kind"));
        for sql in [
            over("products", &format!("{schema}.apparel(p.photo)")),
            over("products", &format!("{schema}.predict('apparel', p.photo)")),
            over("predicted", "p.kind"),
        ] {
            assert_eq!(session.rows(&sql), expected, "seed {seed}: {sql}");
        }
        told += usize::from(!expected.is_empty());
    }
    assert!(told > STATEMENTS / 2, "{told} of {STATEMENTS} have rows");
}
