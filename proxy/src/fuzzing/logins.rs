//! Fuzzing of the first packets of both sides, which are edited in place.

use super::input::Input;
use crate::wire::{Capabilities, Greeting, Login, LoginError, TLS_REQUEST_BYTES};

/// Offsets at which two payloads of the same length differ.
fn changed(before: &[u8], after: &[u8]) -> Vec<usize> {
    assert_eq!(before.len(), after.len());
    let pairs = before.iter().zip(after).enumerate();
    pairs
        .filter(|(_, (before, after))| before != after)
        .map(|(at, _)| at)
        .collect()
}

/// A greeting of any bytes: only capabilities change, only allowed ones remain, and a second edit
/// changes nothing.
pub fn greeting(data: &[u8]) {
    let mut input = Input::new(data);
    // The first distinguishes MySQL from MariaDB stores; a greeting without the second is
    // rejected.
    let kept = Capabilities::LONG_PASSWORD.or(Capabilities::PROTOCOL_41);
    let allowed = input.capabilities().or(kept);
    let before = input.rest();
    let mut after = before.to_vec();
    let Ok(greeting) = Greeting::restrict(&mut after, allowed) else {
        assert!(changed(before, &after).is_empty());
        return;
    };
    assert!(allowed.has(greeting.capabilities));
    let version_bytes = before.iter().skip(1).take_while(|byte| **byte != 0).count();
    let low_at = 1 + version_bytes + 1 + 4 + 8 + 1;
    let is_capability = |at: &usize| {
        let places = [
            low_at..low_at + 2,
            low_at + 5..low_at + 7,
            low_at + 14..low_at + 18,
        ];
        places.iter().any(|place| place.contains(at))
    };
    assert!(changed(before, &after).iter().all(is_capability));

    let mut again = after.clone();
    match Greeting::restrict(&mut again, allowed) {
        // Without SSL among the allowed capabilities, the edited greeting no longer shows whether
        // the store supports TLS.
        Ok(second) => assert_eq!(
            (second.capabilities, &second.nonce, &second.plugin),
            (greeting.capabilities, &greeting.nonce, &greeting.plugin)
        ),
        Err(error) => panic!("{error}"),
    }
    assert_eq!(again, after);

    greeting.offer_tls(&mut again);
    assert!(changed(&after, &again).iter().all(|at| *at == low_at + 1));
    match Greeting::restrict(&mut again, allowed.or(Capabilities::SSL)) {
        Ok(offering) => assert!(offering.tls),
        Err(error) => panic!("{error}"),
    }
}

/// A login of any bytes: only capabilities change, only offered ones remain, and a second edit
/// changes nothing.
pub fn login(data: &[u8]) {
    let mut input = Input::new(data);
    // A greeting without this capability is rejected.
    let offered = input.capabilities().or(Capabilities::PROTOCOL_41);
    let before = input.rest();
    let mut after = before.to_vec();
    let login = match Login::restrict(&mut after, offered) {
        Ok(login) => login,
        Err(error) => {
            assert!(changed(before, &after).is_empty());
            assert_eq!(error == LoginError::Tls, is_tls_request_of_today(before));
            return;
        }
    };
    assert!(!Login::is_tls_request(before));
    assert!(
        offered
            .or(Capabilities::LONG_PASSWORD)
            .has(login.capabilities)
    );
    let is_capability = |at: &usize| *at < 4 || (28..32).contains(at);
    assert!(changed(before, &after).iter().all(is_capability));

    let mut again = after.clone();
    assert_eq!(Login::restrict(&mut again, offered), Ok(login));
    assert_eq!(again, after);

    Login::say_tls(&mut again);
    assert!(changed(&after, &again).iter().all(|at| *at == 1));
    let request = again.get(..TLS_REQUEST_BYTES).unwrap_or_default();
    assert!(Login::is_tls_request(request));
}

/// Whether a client that uses the current protocol requests TLS.
fn is_tls_request_of_today(payload: &[u8]) -> bool {
    let speaks = payload.get(1).is_some_and(|byte| byte & 0x02 != 0);
    speaks && Login::is_tls_request(payload)
}
