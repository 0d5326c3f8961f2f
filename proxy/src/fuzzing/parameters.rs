//! Fuzzing of parameters of prepared statements, which are decoded and bound again.

use super::input::Input;
use crate::lane::store::parameters::Parameters;
use bytes::{Bytes, BytesMut};
use std::collections::BTreeMap;

/// Any body of COM_STMT_EXECUTE: decoded or rejected, and binding again gives the same values.
pub fn parameters(data: &[u8]) {
    let mut input = Input::new(data);
    let count = usize::from(input.byte() % 70);
    let known_kinds = usize::from(input.byte() % 70);
    let mut kinds: Vec<u16> = (0..known_kinds).map(|_| input.u16()).collect();
    let mut long_data = BTreeMap::new();
    for _ in 0..input.byte() % 4 {
        let parameter = u16::from(input.byte());
        let length = input.byte();
        long_data.insert(parameter, BytesMut::from(input.take(length.into())));
    }
    let body = Bytes::copy_from_slice(input.rest());
    let Ok(read) = Parameters::read(&body, count, &mut kinds, &long_data) else {
        return;
    };
    assert_eq!(read.as_sent(), body);
    if count > 0 {
        // NULLs need no types.
        assert!(kinds.len() == count || kinds.is_empty());
    }
    for number in 0..count + 1 {
        let (_, _) = (read.holds_nul(number), read.integer(number));
    }
    assert!(read.execute_body(1, &[count]).is_err());

    let in_order: Vec<usize> = (0..count).collect();
    let backwards_twice: Vec<usize> = (0..count).rev().chain(0..count).collect();
    for wanted in [&in_order[..], &backwards_twice] {
        let Ok(bound) = read.execute_body(7, wanted) else {
            panic!("parameters that were read cannot be bound");
        };
        let again = Parameters::read(&bound, wanted.len(), &mut Vec::new(), &BTreeMap::new());
        let Ok(again) = again else {
            panic!("the own binding cannot be read: {bound:?}");
        };
        let numbers = 0..wanted.len();
        for (place, &number) in numbers.clone().zip(wanted) {
            assert_eq!(again.integer(place), read.integer(number));
            assert_eq!(again.holds_nul(place), read.holds_nul(number));
        }
        let all: Vec<usize> = numbers.collect();
        assert_eq!(again.execute_body(7, &all).ok(), Some(bound));
    }
}
