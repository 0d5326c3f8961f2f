//! Images and models in object stores and on web servers: answers are those of the same files on
//! disk, and nothing outside the roots is read.

mod bound_roots;
mod by_workers;
mod server;

use std::path::{Path, PathBuf};

use predictsql_tests::process::{checkout, new_dir};
use predictsql_tests::{Proxy, Settings, Store, Wire};

use self::server::{Fault, KEY, SAID, Server};

/// Images of the executor that have answers.
const IMAGES: [&str; 6] = [
    "rgb.png",
    "rgb.jpg",
    "grey.jpg",
    "palette.png",
    "lossy.webp",
    "rgb.bmp",
];

/// The same buckets on an S3 server and on a web server.
struct Servers {
    folder: PathBuf,
    s3: Server,
    web: Server,
    /// The images on the web server.
    web_root: String,
}

fn servers() -> Servers {
    let folder = buckets();
    let web = Server::web(&folder);
    Servers {
        s3: Server::s3(&folder),
        web_root: format!("http://{}/photos/a", web.address),
        web,
        folder,
    }
}

/// A folder with the buckets `photos` (images in `a/` and one in `b/`) and `models`.
fn buckets() -> PathBuf {
    let folder = new_dir("buckets");
    let images = checkout().join("executor/tests/images");
    for name in ["photos/a", "photos/b", "models"] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
    }
    for image in IMAGES {
        std::fs::copy(images.join(image), folder.join("photos/a").join(image)).unwrap();
    }
    std::fs::copy(images.join("rgb.png"), folder.join("photos/b/secret.png")).unwrap();
    std::fs::copy(
        images.join("rgb.png"),
        folder.join("photos/a/odd %20name#é.png"),
    )
    .unwrap();
    let models = checkout().join("executor/tests/models");
    for (model, name) in [("first_pixel", "first"), ("colour_nchw", "colour")] {
        let from = models.join(model).with_extension("onnx");
        std::fs::copy(from, folder.join(format!("models/{name}.onnx"))).unwrap();
    }
    folder
}

/// A proxy that reads `roots`, and a session with a task `pixel` whose model is in the second.
fn proxy(schema: &str, s3: &Server, roots: &[&str], executor: &str) -> (Proxy, Wire) {
    let [images @ .., models] = roots else {
        panic!("no roots");
    };
    let settings = Settings {
        schema: schema.to_owned(),
        image_roots: images.iter().map(PathBuf::from).collect(),
        model_roots: vec![models.into()],
        executor: format!("threads = 2\n{executor}"),
        environment: environment(s3),
        ..Settings::default()
    };
    session_of(&settings)
}

/// How programs find the S3 server.
fn environment(s3: &Server) -> Vec<(String, String)> {
    let of = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    vec![
        of("AWS_ACCESS_KEY_ID", KEY.0),
        of("AWS_SECRET_ACCESS_KEY", KEY.1),
        of("AWS_REGION", "us-east-1"),
        of("AWS_ENDPOINT_URL", &format!("http://{}", s3.address)),
        of("AWS_ALLOW_HTTP", "true"),
    ]
}

/// A proxy, and a session with a task `pixel` and a model.
fn session_of(settings: &Settings) -> (Proxy, Wire) {
    let proxy = Proxy::start(Store::shared(), settings);
    let mut session = proxy.root();
    session.run("CREATE TASK pixel KIND REGRESSION");
    session.run(
        "CREATE MODEL first FOR TASK pixel FROM 'first.onnx' OPTIONS (size = '21x14', scale = 1)",
    );
    (proxy, session)
}

/// What the model answers for the same files on disk.
fn expected(schema: &str, folder: &Path) -> Vec<Option<String>> {
    let settings = Settings {
        schema: schema.to_owned(),
        image_roots: vec![folder.join("photos/a")],
        model_roots: vec![folder.join("models")],
        executor: "threads = 2".to_owned(),
        ..Settings::default()
    };
    let proxy = Proxy::start(Store::shared(), &settings);
    let mut session = proxy.root();
    session.run("CREATE TASK pixel KIND REGRESSION");
    session.run(
        "CREATE MODEL first FOR TASK pixel FROM 'first.onnx' OPTIONS (size = '21x14', scale = 1)",
    );
    let of = |image: &&str| session.value(&format!("SELECT {schema}.pixel('{image}')"));
    IMAGES.iter().map(of).collect()
}

/// The warnings of the statement before.
fn warnings(session: &mut Wire) -> String {
    let rows = session.rows("SHOW WARNINGS");
    let texts = rows.into_iter().filter_map(|row| row.into_iter().nth(2)?);
    texts.collect::<Vec<_>>().join("; ")
}

#[test]
fn objects_answer_as_the_same_files_on_disk() {
    let Servers {
        folder,
        s3,
        web_root,
        ..
    } = servers();
    let on_disk = expected("ob_disk", &folder);
    assert!(on_disk.iter().all(Option::is_some));
    for (schema, root, models) in [
        ("ob_s3", "s3://photos/a", "s3://models"),
        ("ob_web", web_root.as_str(), "s3://models/"),
    ] {
        let roots = [root, models];
        let (_proxy, mut session) = proxy(schema, &s3, &roots, "");
        for (image, answer) in IMAGES.iter().zip(&on_disk) {
            for location in [(*image).to_owned(), format!("{root}/{image}")] {
                let found = session.value(&format!("SELECT {schema}.pixel('{location}')"));
                assert_eq!(&found, answer, "{location}");
            }
        }
        let names = IMAGES.map(|image| format!("SELECT '{root}/{image}' AS image"));
        let names = names.join(" UNION ALL ");
        let rows = session.rows(&format!("SELECT {schema}.pixel(image) FROM ({names}) AS t"));
        let found: Vec<_> = rows.into_iter().map(|mut row| row.remove(0)).collect();
        assert_eq!(found, on_disk);
        let odd = session.value(&format!("SELECT {schema}.pixel('odd %20name#é.png')"));
        assert_eq!(odd, on_disk[0], "{}", warnings(&mut session));
    }
}

#[test]
fn nothing_outside_the_roots_is_read() {
    let Servers {
        s3, web, web_root, ..
    } = servers();
    let schema = "ob_outside";
    let roots = ["s3://photos/a", &web_root, "s3://models"];
    let (_proxy, mut session) = proxy(schema, &s3, &roots, "");
    let elsewhere = format!("http://{}/photos/b/secret.png", web.address);
    web.fail("/photos/a/rgb.bmp", Fault::Redirect(elsewhere.clone()), 99);
    for location in [
        "s3://photos/b/secret.png",
        "s3://photos/a/../b/secret.png",
        "s3://models/first.onnx",
        "../b/secret.png",
        "gs://photos/a/rgb.png",
        "http://169.254.169.254/latest/meta-data/",
        "/etc/passwd",
        &elsewhere,
        &format!("{web_root}/%2e%2e/b/secret.png"),
        &format!("{web_root}/rgb.bmp"),
    ] {
        let answer = session.value(&format!("SELECT {schema}.pixel('{location}')"));
        let warnings = warnings(&mut session);
        assert_eq!(answer, None, "{location}");
        assert!(!warnings.is_empty(), "{location}");
    }
    assert!(web.requests("/photos/b/secret.png").is_empty());
    assert!(s3.requests("/photos/b/secret.png").is_empty());
}

#[test]
fn faults_that_pass_are_not_seen_and_others_are_warnings() {
    let Servers {
        s3, web, web_root, ..
    } = servers();
    let schema = "ob_faults";
    let roots = ["s3://photos/a", &web_root, "s3://models"];
    let limits = "object_read_seconds_max = 2\nobject_retries_max = 2\nimage_bytes_max = 1000000";
    let (_proxy, mut session) = proxy(schema, &s3, &roots, limits);
    let whole = session.value(&format!("SELECT {schema}.pixel('rgb.png')"));
    assert!(whole.is_some());

    for (server, root, path) in [
        (&s3, "s3://photos/a", "/photos/a/rgb.jpg"),
        (&web, &*web_root, "/photos/a/rgb.jpg"),
    ] {
        let sql = format!("SELECT {schema}.pixel('{root}/rgb.jpg')");
        let cases = [
            (Fault::Status(500), 2, None),
            (Fault::Status(503), 99, Some("HTTP status 503")),
            (Fault::Status(403), 99, Some("permission denied")),
            (Fault::Status(404), 99, Some("does not exist")),
            (Fault::Stall, 99, Some("within 2 s")),
            (Fault::Length(900_000_000), 99, Some("too large")),
            (Fault::Length(0), 99, Some("empty")),
        ];
        for (fault, times, told) in cases {
            server.fail(path, fault.clone(), times);
            session.run("SET @ml_cache = 'off'");
            let answer = session.value(&sql);
            let warnings = warnings(&mut session);
            match told {
                None => assert!(answer.is_some(), "{fault:?}: {warnings}"),
                Some(told) => {
                    assert_eq!(answer, None, "{fault:?}");
                    assert!(warnings.contains(told), "{fault:?}: {warnings}");
                    assert!(!warnings.contains(SAID), "{fault:?}: {warnings}");
                }
            }
        }
        // A body that is cut again and again is no image; later it is read.
        server.fail(path, Fault::Cut, 99);
        let answer = session.value(&sql);
        assert_eq!(answer, None);
        let warnings = warnings(&mut session);
        assert!(warnings.contains("the connection"), "{warnings}");
        server.fail(path, Fault::Cut, 0);
        assert!(session.value(&sql).is_some());
    }
}

#[test]
fn a_changed_object_is_seen_after_its_age() {
    let Servers {
        folder,
        s3,
        web,
        web_root,
    } = servers();
    let schema = "ob_changed";
    let roots = [&*web_root, "s3://models"];
    let (_proxy, mut session) = proxy(schema, &s3, &roots, "object_identity_seconds_max = 0");
    session.run("CREATE TASK colour CLASSES ('red', 'green', 'blue')");
    session.run("CREATE MODEL tint FOR TASK colour FROM 'colour.onnx' OPTIONS (size = 8)");
    let sql = format!("SELECT {schema}.predict_proba('colour', 'red', 'rgb.png')");
    let before = session.value(&sql);
    assert!(before.is_some());
    assert_eq!(session.value(&sql), before);
    let requests = web.requests("/photos/a/rgb.png");
    assert_eq!(requests, ["HEAD", "GET", "HEAD"]);
    let images = checkout().join("executor/tests/images");
    std::fs::copy(images.join("grey.jpg"), folder.join("photos/a/rgb.png")).unwrap();
    let after = session.value(&sql);
    assert!(after.is_some() && after != before, "{after:?}");
}
