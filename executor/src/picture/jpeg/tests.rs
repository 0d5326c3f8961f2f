//! Truncated files are rejected wherever they are cut, and unusual complete ones are accepted.
#![allow(clippy::unwrap_used)]

use super::super::Channels;
use super::{decode, segments};

const CUT: &str = "is a JPEG that is cut off";
const KINDS: [&str; 9] = [
    "444",
    "420",
    "grey",
    "cmyk",
    "restarts",
    "progressive444",
    "progressive420",
    "progressive_grey",
    "progressive_restarts",
];

fn read(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/images");
    std::fs::read(format!("{folder}/{name}.jpg")).unwrap()
}

fn refusal(encoded: &[u8]) -> String {
    match decode(encoded, Channels::Rgb) {
        Ok(_) => "none".to_string(),
        Err(reason) => reason,
    }
}

/// Offsets of markers from the first scan on, including restart markers.
fn markers(encoded: &[u8]) -> Vec<usize> {
    let pairs = encoded.windows(2).enumerate();
    let found = pairs.filter(|(_, pair)| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff));
    let places: Vec<usize> = found.map(|(at, _)| at).collect();
    let scan = places
        .iter()
        .position(|at| encoded[at + 1] == segments::SOS)
        .unwrap();
    places[scan..].to_vec()
}

#[test]
fn a_header_that_claims_more_rows_or_columns_than_the_data_have_is_refused() {
    for kind in KINDS {
        let whole = read(kind);
        assert!(decode(&whole, Channels::Rgb).is_ok(), "{kind}");
        let frame = whole
            .windows(3)
            .position(|b| b[0] == 0xff && matches!(b[1], 0xc0 | 0xc2) && b[2] == 0);
        for side in [6, 8] {
            for more in [16, 64, 200] {
                let mut larger = whole.clone();
                larger[frame.unwrap() + side] += more;
                let reason = refusal(&larger);
                assert!(
                    reason == CUT || reason.contains("damaged"),
                    "{kind} {side} {more}: {reason}"
                );
            }
        }
    }
}

#[test]
fn a_cut_anywhere_with_an_end_marker_behind_it_is_refused() {
    for kind in KINDS {
        let whole = read(kind);
        let data = markers(&whole)[0];
        for end in data..whole.len() - 2 {
            let cut = [&whole[..end], &[0xff, 0xd9]].concat();
            assert_ne!(
                refusal(&cut),
                "none",
                "{kind} cut at {end} of {}",
                whole.len()
            );
        }
        assert_eq!(refusal(&whole[..whole.len() - 2]), CUT, "{kind}");
    }
}

#[test]
fn a_missing_interval_or_scan_is_refused() {
    for kind in [
        "restarts",
        "progressive444",
        "progressive420",
        "progressive_restarts",
    ] {
        let whole = read(kind);
        let places = markers(&whole);
        let begins_data = |at: usize| matches!(whole[at + 1], segments::SOS | 0xd0..=0xd7);
        for pair in places.windows(2).filter(|pair| begins_data(pair[0])) {
            let without = [&whole[..pair[0]], &whole[pair[1]..]].concat();
            assert_ne!(refusal(&without), "none", "{kind} without {pair:?}");
        }
    }
}

#[test]
fn restart_markers_out_of_order_are_refused() {
    let mut whole = read("restarts");
    let restarts: Vec<usize> = markers(&whole)
        .into_iter()
        .filter(|at| matches!(whole[at + 1], 0xd0..=0xd7))
        .collect();
    whole.swap(restarts[0] + 1, restarts[1] + 1);
    assert_eq!(refusal(&whole), CUT);
}

#[test]
fn unusual_whole_files_give_the_same_pixels() {
    for kind in KINDS {
        let whole = read(kind);
        let expected = decode(&whole, Channels::Rgb).unwrap();
        let end = whole.len() - 2;
        let thumbnail = [&[0xff, 0xe1, 0, 8], &b"\xff\xda\xff\xd9x!"[..]].concat();
        let unusual = [
            ("bytes behind the end", [&whole[..], &[7; 100]].concat()),
            (
                "another image behind the end",
                [&whole[..], &whole].concat(),
            ),
            (
                "a fill byte before the end",
                [&whole[..end], &[0xff], &whole[end..]].concat(),
            ),
            (
                "an end marker in a thumbnail",
                [&whole[..2], &thumbnail, &whole[2..]].concat(),
            ),
            (
                "stray bytes before the end",
                [&whole[..end], &[1, 2, 3], &whole[end..]].concat(),
            ),
        ];
        for (what, file) in unusual {
            assert_eq!(
                decode(&file, Channels::Rgb).as_ref(),
                Ok(&expected),
                "{kind}: {what}"
            );
        }
    }
}

#[test]
fn an_end_marker_inside_a_thumbnail_does_not_count() {
    let whole = read("444");
    let thumbnail = [&[0xff, 0xe1, 0, 8], &b"\xff\xda\xff\xd9x!"[..]].concat();
    let cut = [&whole[..2], &thumbnail, &whole[2..whole.len() - 30]].concat();
    assert_eq!(refusal(&cut), CUT);
}
