//! Objects that workers read themselves: the proxy sends URIs, and sees no image.

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use predictsql_tests::{Settings, Wire, Worker, WorkerSettings, workers_table};

use super::{IMAGES, Servers, environment, expected, servers, session_of};

#[test]
fn workers_read_the_objects_below_their_own_roots() {
    let Servers { folder, s3, .. } = servers();
    let on_disk = expected("obw_disk", &folder);
    // What has just been written is not kept.
    for image in IMAGES {
        let file = File::options()
            .write(true)
            .open(folder.join("photos/a").join(image));
        let hour_ago = SystemTime::now() - Duration::from_secs(3_600);
        file.unwrap().set_modified(hour_ago).unwrap();
    }
    let worker = |roots: &[&str]| {
        Worker::start(&WorkerSettings {
            image_roots: roots.iter().map(PathBuf::from).collect(),
            environment: environment(&s3),
            ..WorkerSettings::default()
        })
    };
    let workers = [
        worker(&["s3://photos"]),
        worker(&["s3://photos/a", "s3://models"]),
    ];
    let settings = Settings {
        schema: "obw".to_owned(),
        image_roots: vec!["s3://photos/a".into()],
        model_roots: vec!["s3://models".into()],
        tables: workers_table(&workers),
        environment: environment(&s3),
        ..Settings::default()
    };
    let (proxy, mut session) = session_of(&settings);
    let names = IMAGES.map(|image| format!("SELECT '{image}' AS image"));
    let names = names.join(" UNION ALL ");
    let ask = format!("SELECT obw.pixel(image) FROM ({names}) AS t");
    let answers = |session: &mut Wire, ask: &str| -> Vec<_> {
        let rows = session.rows(ask).into_iter();
        rows.map(|mut row| row.remove(0)).collect()
    };
    assert_eq!(answers(&mut session, &ask), on_disk);
    for image in IMAGES {
        let requests = s3.requests(&format!("/photos/a/{image}"));
        let gets = requests.iter().filter(|method| *method == "GET");
        assert_eq!(gets.count(), 1, "{image}: {requests:?}");
    }

    // What the worker has read is kept under its identity: asked twice, and run once.
    session.run("CREATE TASK colour CLASSES ('red', 'green', 'blue')");
    session.run("CREATE MODEL of_colour FOR TASK colour FROM 'colour.onnx' OPTIONS (size = 8)");
    let ask = ask.replace("pixel", "colour");
    let before = proxy.images_inferred();
    let first = answers(&mut session, &ask);
    assert!(first.iter().all(Option::is_some));
    assert_eq!(answers(&mut session, &ask), first);
    assert_eq!(proxy.images_inferred() - before, IMAGES.len() as u64);

    // The proxy's own roots hold all the same, and so do those of a task.
    let outside = "SELECT obw.pixel('s3://photos/b/secret.png')";
    assert_eq!(session.value(outside), None);
    session.run("ALTER TASK pixel SET image_roots = ('s3://photos/a/none/')");
    assert_eq!(
        session.value("SELECT obw.pixel('s3://photos/a/rgb.png')"),
        None
    );
    assert!(s3.requests("/photos/b/secret.png").is_empty());
}

#[test]
fn where_not_all_workers_read_them_objects_are_sent() {
    let Servers { folder, s3, .. } = servers();
    let on_disk = expected("obs_disk", &folder);
    // One of them reads the images, but any may be asked.
    let reads = WorkerSettings {
        image_roots: vec!["s3://photos".into()],
        environment: environment(&s3),
        ..WorkerSettings::default()
    };
    let workers = [
        Worker::start(&WorkerSettings::default()),
        Worker::start(&reads),
    ];
    let settings = Settings {
        schema: "obs".to_owned(),
        image_roots: vec!["s3://photos/a".into()],
        model_roots: vec!["s3://models".into()],
        tables: workers_table(&workers),
        environment: environment(&s3),
        ..Settings::default()
    };
    let (_proxy, mut session) = session_of(&settings);
    for (image, answer) in IMAGES.iter().zip(&on_disk) {
        let found = session.value(&format!("SELECT obs.pixel('{image}')"));
        assert_eq!(&found, answer, "{image}");
    }
}
