//! Tasks that are bound to image roots: each reads its own images and no others, whatever is kept
//! of others, and whoever else asks for the same relative path.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use predictsql_tests::process::{checkout, new_dir};
use predictsql_tests::{Proxy, Settings, Store, Wire};

use super::server::{KEY, Server};
use super::warnings;
use crate::differential::answer::{Param, execute, prepare};

/// Tenants with their images' colours; the last one's name begins like the first one's.
const TENANTS: [(&str, [u8; 3]); 3] = [
    ("tenant-a", [255, 0, 0]),
    ("tenant-b", [0, 255, 0]),
    ("tenant-ab", [0, 0, 255]),
];
const OUTSIDE: &str = "is outside the allowed image roots";

/// Images in a bucket that is also a folder.
struct Images {
    folder: PathBuf,
    s3: Server,
    /// What the images are below.
    root: String,
}

/// The same images as files and as objects.
fn both() -> [(&'static str, Images); 2] {
    let of = |remote: bool| {
        let folder = new_dir("bound");
        for (tenant, colour) in TENANTS {
            let of_tenant = folder.join("photos").join(tenant);
            std::fs::create_dir_all(&of_tenant).unwrap();
            std::fs::write(of_tenant.join("x.bmp"), bmp(colour)).unwrap();
        }
        std::fs::create_dir(folder.join("models")).unwrap();
        let model = checkout().join("executor/tests/models/colour_nchw.onnx");
        std::fs::copy(model, folder.join("models/colour.onnx")).unwrap();
        Images {
            s3: Server::s3(&folder),
            root: match remote {
                true => "s3://photos".to_owned(),
                false => folder.join("photos").display().to_string(),
            },
            folder,
        }
    };
    [("file", of(false)), ("s3", of(true))]
}

/// An image of one colour.
fn bmp([red, green, blue]: [u8; 3]) -> Vec<u8> {
    let pixels = [blue, green, red].repeat(64);
    let mut image = b"BM".to_vec();
    for number in [54 + 192, 0, 54, 40, 8, 8, 1 | 24 << 16, 0, 192, 0, 0, 0, 0] {
        image.extend(u32::to_le_bytes(number));
    }
    image.extend(pixels);
    image
}

impl Images {
    /// A proxy that reads below `roots`.
    fn proxy(&self, schema: &str, roots: &[&str]) -> Proxy {
        let of = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let settings = Settings {
            schema: schema.to_owned(),
            image_roots: roots.iter().map(PathBuf::from).collect(),
            model_roots: vec![self.folder.join("models")],
            executor: "threads = 2".to_owned(),
            environment: vec![
                of("AWS_ACCESS_KEY_ID", KEY.0),
                of("AWS_SECRET_ACCESS_KEY", KEY.1),
                of("AWS_REGION", "us-east-1"),
                of("AWS_ENDPOINT_URL", &format!("http://{}", self.s3.address)),
                of("AWS_ALLOW_HTTP", "true"),
            ],
            ..Settings::default()
        };
        Proxy::start(Store::shared(), &settings)
    }

    fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.root)
    }

    /// A list of roots as in a statement.
    fn roots(&self, tenants: &[&str]) -> String {
        let roots = tenants
            .iter()
            .map(|tenant| format!("'{}'", self.at(tenant)));
        format!("({})", roots.collect::<Vec<_>>().join(", "))
    }
}

/// Makes a task, bound to `roots` where there are some, and its model. All models are the same.
fn make(session: &mut Wire, task: &str, roots: Option<&str>) {
    let options = roots.map(|roots| format!(" OPTIONS (image_roots = {roots})"));
    let options = options.unwrap_or_default();
    session.run(&format!(
        "CREATE TASK {task} CLASSES ('red', 'green', 'blue'){options}"
    ));
    session.run(&format!(
        "CREATE MODEL m{task} FOR TASK {task} FROM 'colour.onnx' OPTIONS (size = 8)"
    ));
}

/// The answer to a call; it reads a table, since others leave the warnings before as they are.
fn ask(session: &mut Wire, call: &str, location: &str) -> Option<String> {
    let (schema, _) = call.split_once('.').unwrap();
    session.value(&format!("SELECT {call}'{location}') FROM {schema}.meta"))
}

fn shown(session: &mut Wire, task: &str) -> String {
    let rows = session.rows(&format!("SHOW CREATE TASK {task}"));
    rows[0][1].clone().unwrap()
}

/// Links in the first tenant's folder that lead out of it.
fn link_out(images: &Path) {
    let own = images.join("tenant-a");
    symlink(images.join("tenant-b"), own.join("folder")).unwrap();
    symlink("../tenant-b/x.bmp", own.join("link.bmp")).unwrap();
    symlink(images.join("tenant-b/x.bmp"), own.join("far.bmp")).unwrap();
}

#[test]
fn a_bound_task_reads_below_its_roots_only() {
    for (kind, images) in both() {
        let schema = format!("br_inside_{kind}");
        if kind == "file" {
            link_out(&images.folder.join("photos"));
        }
        let proxy = images.proxy(&schema, &[&images.root]);
        let mut session = proxy.root();
        make(&mut session, "free", None);
        make(&mut session, "a", Some(&images.roots(&["tenant-a/"])));
        // All is kept by now, under the output of the same model.
        for ((tenant, _), answer) in TENANTS.iter().zip(["red", "green", "blue"]) {
            let image = format!("{tenant}/x.bmp");
            for location in [images.at(&image), image] {
                let found = ask(&mut session, &format!("{schema}.free("), &location);
                assert_eq!(found.as_deref(), Some(answer), "{location}");
            }
        }
        let calls = [
            format!("{schema}.a("),
            format!("{schema}.predict('a', "),
            format!("{schema}.predict('ma', "),
            format!("{schema}.predict('ma@1', "),
        ];
        let requests = images.s3.requests("/photos/tenant-b/x.bmp").len();
        for call in &calls {
            for location in ["x.bmp".to_owned(), images.at("tenant-a/x.bmp")] {
                let found = ask(&mut session, call, &location);
                assert_eq!(found.as_deref(), Some("red"), "{call}{location}");
            }
            for location in [
                images.at("tenant-b/x.bmp"),
                images.at("tenant-ab/x.bmp"),
                images.at("tenant-a/../tenant-b/x.bmp"),
                "../tenant-b/x.bmp".to_owned(),
                "/etc/passwd".to_owned(),
                "s3://photos/tenant-b/x.bmp".to_owned(),
                "s3://models/colour.onnx".to_owned(),
            ] {
                let found = ask(&mut session, call, &location);
                assert_eq!(found, None, "{call}{location}");
                let warnings = warnings(&mut session);
                let told = [OUTSIDE, "with a part . or .."];
                assert!(told.iter().any(|t| warnings.contains(t)), "{warnings}");
            }
            assert_eq!(ask(&mut session, call, "tenant-a/x.bmp"), None);
            assert!(warnings(&mut session).contains("does not exist"));
            for link in ["folder/x.bmp", "link.bmp", "far.bmp"] {
                if kind == "file" {
                    assert_eq!(ask(&mut session, call, link), None, "{link}");
                    assert!(warnings(&mut session).contains(OUTSIDE), "{link}");
                }
            }
            // What is no location is not bound.
            let green = bmp(TENANTS[1].1).into_iter();
            let green: String = green.map(|byte| format!("{byte:02x}")).collect();
            let found = session.value(&format!("SELECT {call}x'{green}')"));
            assert_eq!(found.as_deref(), Some("green"));
        }
        assert_eq!(images.s3.requests("/photos/tenant-b/x.bmp").len(), requests);
        session.run("SET @ml_on_error = 'fail'");
        let outside = images.at("tenant-b/x.bmp");
        let error = session.error(&format!("SELECT {schema}.a('{outside}')"));
        assert!(error.message.contains(OUTSIDE), "{error:?}");
    }
}

#[test]
fn the_same_relative_path_is_another_image_for_another_task() {
    for (kind, images) in both() {
        let schema = format!("br_same_{kind}");
        let proxy = images.proxy(&schema, &[&images.root]);
        let mut session = proxy.root();
        for (task, tenant) in [("a", "tenant-a"), ("b", "tenant-b"), ("c", "tenant-ab")] {
            make(&mut session, task, Some(&images.roots(&[tenant])));
        }
        session.run(&format!("CREATE DATABASE {schema}_shop"));
        session.run(&format!("USE {schema}_shop"));
        session.run("CREATE TABLE items (id INT PRIMARY KEY, path VARCHAR(255))");
        session.run("INSERT INTO items SELECT seq, 'x.bmp' FROM seq_1_to_40");
        let all = format!("SELECT {schema}.b(path), {schema}.a(path), {schema}.c(path) FROM items");
        let grouped = format!(
            "SELECT {schema}.a(path) a, {schema}.b(path) b, {schema}.predict('mc', path) c, \
             COUNT(*) FROM items GROUP BY a, b, c"
        );
        let counted = format!(
            "SELECT COUNT(*) FROM items WHERE {schema}.a(path) = 'red' \
             AND {schema}.b(path) = 'green' AND {schema}.c(path) = 'blue'"
        );
        let united =
            format!("SELECT {schema}.a(path) FROM items UNION SELECT {schema}.b(path) FROM items");
        let text =
            |cells: &[&str]| -> Vec<_> { cells.iter().map(|c| Some(c.to_string())).collect() };
        let statements = [
            (all, vec![text(&["green", "red", "blue"]); 40]),
            (counted, vec![text(&["40"])]),
            (grouped, vec![text(&["red", "green", "blue", "40"])]),
            (united, vec![text(&["red"]), text(&["green"])]),
        ];
        for cache in ["off", "on", "on", "read"] {
            for plan in ["NULL", "'stream'", "'temporary'", "'inline'"] {
                session.run(&format!("SET @ml_plan = {plan}, @ml_cache = '{cache}'"));
                for (number, (sql, expected)) in statements.iter().enumerate() {
                    if plan == "'stream'" && number > 0 {
                        continue;
                    }
                    let what = format!("plan {plan}, cache {cache}: {sql}");
                    assert_eq!(&session.rows(sql), expected, "{what}");
                    session.run(&format!("PREPARE p FROM '{}'", sql.replace('\'', "''")));
                    assert_eq!(&session.rows("EXECUTE p"), expected, "prepared, {what}");
                }
            }
        }
        // Answers of bound tasks are kept, too.
        session.run("SET @ml_plan = NULL, @ml_cache = 'on'");
        let before = proxy.images_inferred();
        session.run(&statements[0].0);
        assert_eq!(proxy.images_inferred(), before);
        session.run(&format!(
            "PREPARE p FROM 'SELECT {schema}.a(?), {schema}.b(?)'"
        ));
        session.run("SET @path = 'x.bmp'");
        let found = session.rows("EXECUTE p USING @path, @path");
        assert_eq!(found, [text(&["red", "green"])]);
        for from in ["", " FROM items GROUP BY 1, 2"] {
            let sql = format!("SELECT {schema}.b(?), {schema}.a(?){from}");
            let id = prepare(&mut session, &sql).unwrap();
            let path = || Param::Text("x.bmp".to_owned());
            let answer = execute(&mut session, id, &[path(), path()]).unwrap();
            let expected = ["green", "red"].map(|label| Some(label.as_bytes().to_vec()));
            assert_eq!(answer.rows, [expected], "{sql}");
        }
    }
}

#[test]
fn a_change_of_the_roots_counts_from_the_next_statement() {
    for (kind, images) in both() {
        let schema = format!("br_alter_{kind}");
        let proxy = images.proxy(&schema, &[&images.root]);
        let mut session = proxy.root();
        make(
            &mut session,
            "a",
            Some(&images.roots(&["tenant-a", "tenant-ab/"])),
        );
        let bound = shown(&mut session, "a");
        let roots = images.roots(&["tenant-a", "tenant-ab/"]);
        assert!(bound.contains(&format!("image_roots = {roots}")), "{bound}");

        session.run(&format!("PREPARE p FROM 'SELECT {schema}.a(\"x.bmp\")'"));
        assert_eq!(session.value("EXECUTE p").as_deref(), Some("red"));
        let mut other = proxy.root();
        other.run("START TRANSACTION");
        let call = format!("{schema}.a(");
        assert_eq!(ask(&mut other, &call, "x.bmp").as_deref(), Some("red"));
        let last = images.at("tenant-ab/x.bmp");
        assert_eq!(ask(&mut other, &call, &last).as_deref(), Some("blue"));
        session.run(&format!(
            "ALTER TASK a SET min_accuracy = NULL, image_roots = '{}'",
            images.at("tenant-b")
        ));
        assert_eq!(ask(&mut other, &call, "x.bmp").as_deref(), Some("green"));
        assert_eq!(ask(&mut other, &call, &last), None);
        assert_eq!(session.value("EXECUTE p").as_deref(), Some("green"));

        for word in ["NULL", "DEFAULT"] {
            session.run(&format!("ALTER TASK a SET image_roots = {roots}"));
            assert_eq!(shown(&mut session, "a"), bound);
            session.run(&format!("ALTER TASK a SET image_roots = {word}"));
            assert!(!shown(&mut session, "a").contains("image_roots"));
            assert_eq!(ask(&mut session, &call, "x.bmp"), None);
            let found = ask(&mut session, &call, "tenant-b/x.bmp");
            assert_eq!(found.as_deref(), Some("green"));
        }
        session.run("DROP MODEL ma");
        session.run("DROP TASK a");
        session.run(&bound);
        assert_eq!(shown(&mut session, "a"), bound);
    }
}

#[test]
fn roots_outside_those_of_the_proxy_are_refused() {
    for (kind, images) in both() {
        let schema = format!("br_refused_{kind}");
        if kind == "file" {
            let photos = images.folder.join("photos");
            symlink(&images.folder, photos.join("tenant-a/out")).unwrap();
        }
        let own = images.at("tenant-a");
        let proxy = images.proxy(&schema, &[&own]);
        let mut session = proxy.root();
        make(&mut session, "a", Some(&images.roots(&["tenant-a"])));
        let before = shown(&mut session, "a");
        let outside = [
            images.root.clone(),
            images.at("tenant-b"),
            images.at("tenant-ab"),
            images.at("none"),
            "/".to_owned(),
            "s3://models/".to_owned(),
            "gs://photos/tenant-a".to_owned(),
            images
                .folder
                .join("photos/tenant-a/out")
                .display()
                .to_string(),
            format!("{}/photos/tenant-a/../tenant-b", images.folder.display()),
        ];
        let malformed = [
            "tenant-a",
            "s3://",
            "ftp://host/a",
            "s3://photos/tenant-a/../tenant-b",
            "",
        ];
        let outside = outside.iter().map(|root| (root.as_str(), 1290));
        let malformed = malformed.iter().map(|root| (*root, 1525));
        for (root, code) in outside.chain(malformed) {
            for sql in [
                format!("CREATE TASK t CLASSES ('x') OPTIONS (image_roots = ('{own}', '{root}'))"),
                format!("ALTER TASK a SET image_roots = ('{own}', '{root}'), min_accuracy = 0.5"),
            ] {
                let error = session.error(&sql);
                assert_eq!((error.code, &*error.sqlstate), (code, "HY000"), "{error:?}");
                assert!(error.message.contains(root), "{root}: {error:?}");
                assert_eq!(shown(&mut session, "a"), before);
            }
        }
        let tasks = session.rows(&format!("SELECT name FROM {schema}.tasks"));
        assert_eq!(tasks, [[Some("a".to_owned())]]);
        let error = session.error(&format!("SELECT {schema}.t('x')"));
        assert_eq!(error.code, 1305, "{error:?}");
        let rows = format!(
            "CREATE TASK t CLASSES ('x') INPUT (n DOUBLE) OPTIONS (image_roots = ('{own}'))"
        );
        assert_eq!(session.error(&rows).code, 1525);
        assert_eq!(
            ask(&mut session, &format!("{schema}.a("), "x.bmp").as_deref(),
            Some("red")
        );
    }
}

#[test]
fn nothing_outside_the_proxys_roots_is_read_whatever_the_catalog_says() {
    for (kind, images) in both() {
        let schema = format!("br_narrow_{kind}");
        let wide = images.proxy(&schema, &[&images.root]);
        let mut session = wide.root();
        for (task, tenants) in [
            ("a", &["tenant-a"][..]),
            ("b", &["tenant-b"]),
            ("ab", &["tenant-a", "tenant-b"]),
        ] {
            make(&mut session, task, Some(&images.roots(tenants)));
            assert!(ask(&mut session, &format!("{schema}.{task}("), "x.bmp").is_some());
        }
        let before = shown(&mut session, "ab");
        drop(session);
        drop(wide);

        let narrow = images.proxy(&schema, &[&images.at("tenant-b")]);
        let mut session = narrow.root();
        let [first, second] = ["tenant-a/x.bmp", "tenant-b/x.bmp"].map(|path| images.at(path));
        for (task, location, answer) in [
            ("a", "x.bmp", None),
            ("a", &*first, None),
            ("a", &*second, None),
            ("b", "x.bmp", Some("green")),
            ("b", &*first, None),
            // Relative to the first root, though only the second is one of the proxy's.
            ("ab", "x.bmp", None),
            ("ab", &*first, None),
            ("ab", &*second, Some("green")),
        ] {
            let found = ask(&mut session, &format!("{schema}.{task}("), location);
            assert_eq!(found.as_deref(), answer, "{task} {location}");
            assert_eq!(warnings(&mut session).contains(OUTSIDE), answer.is_none());
        }
        // Other options are changed, and the roots stay.
        session.run("ALTER TASK ab SET max_seconds = 5");
        let after = shown(&mut session, "ab");
        assert_eq!(after.replace(", max_seconds = 5", ""), before);
        let roots = images.roots(&["tenant-a"]);
        let error = session.error(&format!("ALTER TASK ab SET image_roots = {roots}"));
        assert_eq!(error.code, 1290, "{error:?}");
    }
}

#[test]
fn roots_of_a_task_may_be_folders_and_buckets() {
    let [(_, images), _] = both();
    let files = images.root.clone();
    let proxy = images.proxy("br_mixed", &[&files, "s3://photos"]);
    let mut session = proxy.root();
    let folder_b = format!("{files}/tenant-b");
    let bucket_a = "s3://photos/tenant-a/";
    make(
        &mut session,
        "bucket_first",
        Some(&format!("('{bucket_a}', '{folder_b}')")),
    );
    make(
        &mut session,
        "folder_first",
        Some(&format!("('file://{folder_b}', '{bucket_a}')")),
    );
    let locations = [
        "x.bmp".to_owned(),
        format!("{folder_b}/x.bmp"),
        "s3://photos/tenant-a/x.bmp".to_owned(),
        format!("{files}/tenant-a/x.bmp"),
        "s3://photos/tenant-b/x.bmp".to_owned(),
    ];
    for (task, first) in [("bucket_first", "red"), ("folder_first", "green")] {
        let rows = locations.iter().enumerate();
        let rows = rows.map(|(n, at)| format!("SELECT {n} AS n, '{at}' AS at"));
        let rows = rows.collect::<Vec<_>>().join(" UNION ALL ");
        let found = session.rows(&format!(
            "SELECT br_mixed.{task}(at) FROM ({rows}) AS t ORDER BY n"
        ));
        let found: Vec<_> = found.iter().map(|row| row[0].as_deref()).collect();
        assert_eq!(found, [Some(first), Some("green"), Some("red"), None, None]);
    }
}

#[test]
fn the_statements_of_the_page_bind_and_free_tasks() {
    let [_, (_, images)] = both();
    let proxy = images.proxy("br_page", &[&images.root]);
    let mut session = proxy.root();
    let page = std::fs::read_to_string(checkout().join("docs/object-stores.md")).unwrap();
    let (_, block) = page
        .split_once("<!-- tested: roots of tasks -->\n```sql\n")
        .unwrap();
    let (block, _) = block.split_once("```").unwrap();
    for sql in block.split(";\n").filter(|sql| !sql.is_empty()) {
        session.run(sql);
    }
    for (task, own, other) in [
        ("coats_a", "x.bmp", "tenant-b/x.bmp"),
        ("coats_b", "tenant-b/x.bmp", "x.bmp"),
    ] {
        session.run(&format!(
            "CREATE MODEL m_{task} FOR TASK {task} FROM 'colour.onnx' OPTIONS (size = 8)"
        ));
        let call = format!("br_page.{task}(");
        assert!(ask(&mut session, &call, own).is_some(), "{task}");
        assert_eq!(ask(&mut session, &call, other), None, "{task}");
    }
    let bound = shown(&mut session, "coats_a");
    assert!(
        bound.contains("image_roots = ('s3://photos/tenant-a/')"),
        "{bound}"
    );
    assert!(!shown(&mut session, "coats_b").contains("image_roots"));
}

#[test]
fn evaluate_reads_below_the_roots_of_the_task() {
    for (kind, images) in both() {
        let schema = format!("br_evaluate_{kind}");
        let proxy = images.proxy(&schema, &[&images.root]);
        let mut session = proxy.root();
        make(&mut session, "b", Some(&images.roots(&["tenant-b"])));
        let (own, other) = (images.at("tenant-b/x.bmp"), images.at("tenant-a/x.bmp"));
        let rows = format!(
            "SELECT 'x.bmp' AS image, 'green' AS label UNION ALL SELECT '{own}', 'green' \
             UNION ALL SELECT '{other}', 'red'"
        );
        let answer = session.run(&format!("EVALUATE MODEL mb ON ({rows})"));
        assert_eq!(answer.rows.len(), 1);
        let warnings = warnings(&mut session);
        assert!(warnings.contains(OUTSIDE), "{warnings}");
        let measured = session.rows(&format!(
            "SELECT accuracy, inputs_all FROM {schema}.model_stats WHERE part = 'all'"
        ));
        assert_eq!(measured, [[Some("1".to_owned()), Some("2".to_owned())]]);
    }
}
