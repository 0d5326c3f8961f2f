//! Tests of properties of every source: limits on reads, and cached identities.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};

use super::bound::BoundRoots;
use super::limited::Sources;
use super::source::{Object, ReadError, Source, Wanted};
use crate::config::ObjectConfig;
use crate::identity::InputId;
use crate::input::Input;
use crate::storage::{Bucket, Scheme};

/// Objects whose content is their location; each read yields to other tasks before it completes.
#[derive(Debug, Default)]
struct Echo {
    age_max: Duration,
    under_way: AtomicUsize,
    most: AtomicUsize,
    identified: AtomicUsize,
}

impl Source for Echo {
    fn read<'s>(
        &'s self,
        location: &'s Bytes,
        wanted: Wanted,
    ) -> BoxFuture<'s, Result<Object, ReadError>> {
        Box::pin(async move {
            let now = self.under_way.fetch_add(1, Relaxed) + 1;
            self.most.fetch_max(now, Relaxed);
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            self.under_way.fetch_sub(1, Relaxed);
            super::given(location.clone(), wanted)
        })
    }

    fn identify<'s>(
        &'s self,
        location: &'s Bytes,
    ) -> BoxFuture<'s, Result<Option<InputId>, ReadError>> {
        Box::pin(async move {
            self.identified.fetch_add(1, Relaxed);
            Ok(Some(InputId::of_image(location)))
        })
    }

    fn identity_age_max(&self) -> Duration {
        self.age_max
    }

    fn reads_max(&self) -> usize {
        3
    }

    fn reads_per_chunk_max(&self) -> usize {
        2
    }
}

fn bucket() -> Bucket {
    Bucket {
        scheme: Scheme::S3,
        name: "bucket".to_string(),
    }
}

fn sources(age_max: Duration) -> (Sources, Arc<Echo>) {
    let echo = Arc::new(Echo {
        age_max,
        ..Echo::default()
    });
    let sources = Sources::new(&[], 1, &ObjectConfig::default())
        .unwrap()
        .with(bucket(), echo.clone());
    (sources, echo)
}

#[tokio::test]
async fn reads_of_a_source_are_bounded_over_all_callers() {
    let (sources, echo) = sources(Duration::ZERO);
    let wanted = Wanted {
        bytes_max: 100,
        identified: true,
    };
    let locations: Vec<Bytes> = (0..20)
        .map(|n| Bytes::from(format!("s3://bucket/{n}")))
        .collect();
    let read = join_all(locations.iter().map(|at| sources.read(at, wanted, None))).await;
    for (object, location) in read.into_iter().zip(&locations) {
        let object = object.unwrap();
        assert_eq!((&object.bytes, object.id.is_some()), (location, true));
    }
    assert_eq!(echo.most.load(Relaxed), 3);
    let gone = sources
        .read(&Bytes::from_static(b"gs://b/k"), wanted, None)
        .await;
    assert_eq!(gone.map(|o| o.bytes), Err(ReadError::Outside));
}

#[tokio::test]
async fn an_identity_is_believed_up_to_its_age() {
    let input = Input::Location(Bytes::from_static(b"s3://bucket/key"));
    for (age_max, asked) in [(Duration::ZERO, 2), (Duration::from_secs(3600), 1)] {
        let (sources, echo) = sources(age_max);
        let first = sources.identify(&input, None).await;
        assert!(first.is_some() && first == sources.identify(&input, None).await);
        assert_eq!(echo.identified.load(Relaxed), asked);
    }
}

#[tokio::test]
async fn what_is_known_of_a_location_is_told_to_tasks_that_may_read_it_only() {
    let (sources, echo) = sources(Duration::from_secs(3600));
    let bound = |root: &str| BoundRoots::new(&[root.to_string()]);
    let at = |location: &'static str| Input::Location(Bytes::from_static(location.as_bytes()));
    let (a, b) = (bound("s3://bucket/a/"), bound("s3://bucket/b"));
    let of_a = InputId::of_image(b"s3://bucket/a/key");
    let of_b = InputId::of_image(b"s3://bucket/b/key");
    let absolute = at("s3://bucket/a/key");
    assert_eq!(sources.identify(&absolute, None).await, Some(of_a));
    assert_eq!(sources.identify(&absolute, Some(&b)).await, None);
    for _ in 0..2 {
        // The same relative location is another object for another task.
        let relative = at("key");
        assert_eq!(sources.identify(&relative, Some(&a)).await, Some(of_a));
        assert_eq!(sources.identify(&relative, Some(&b)).await, Some(of_b));
        assert_eq!(sources.identify(&at("../a/key"), Some(&b)).await, None);
    }
    assert_eq!(echo.identified.load(Relaxed), 2);
    let broken = BoundRoots::new(&["s3://".to_string(), "s3://bucket/a".to_string()]);
    assert_eq!(sources.identify(&absolute, Some(&broken)).await, Some(of_a));
    assert_eq!(sources.identify(&at("key"), Some(&broken)).await, None);
}
