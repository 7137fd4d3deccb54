use std::fmt::Debug;

use bytes::Bytes;
use http::Response;
use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, LOCATION, SET_COOKIE};

use super::{Adapter, Case, Expected, Site};

/// Compares the response of an adapter, in process, with the reference.
///
/// # Errors
/// Fails with a description of what differs.
pub fn verify(adapter: &impl Adapter, case: &Case) -> Result<(), String> {
    let site = Site::new(case.setting);
    let answer = adapter.ask(&site, case.request());
    compare(case, &site, &answer)
}

pub(super) fn compare(case: &Case, site: &Site, answer: &Response<Bytes>) -> Result<(), String> {
    let middleware: Vec<_> = answer.headers().get_all("x-app").iter().collect();
    if middleware != ["shop"] && case.expected != Expected::NotFound && !case.only_over_a_socket {
        return Err(format!("the middleware's header x-app is {middleware:?}"));
    }
    match case.expected {
        Expected::Own(status, text) => {
            equal("status", &answer.status().as_u16(), &status)?;
            equal("body", &answer.body()[..], text.as_bytes())
        }
        Expected::NotFound => {
            equal("status", &answer.status().as_u16(), &404)?;
            let is_ours = answer.headers().contains_key("expires");
            if is_ours {
                Err("it was answered by the endpoint".into())
            } else {
                Ok(())
            }
        }
        Expected::First { .. } | Expected::Second | Expected::Public | Expected::Probes => {
            let reference = case
                .reference(site)
                .ok_or("there is no endpoint to refer to")?;
            same(answer, &reference)
        }
    }
}

/// Compares the status, every header of the reference and the body. A framework may add headers of
/// its own, with a few exceptions.
fn same(answer: &Response<Bytes>, reference: &Response<Bytes>) -> Result<(), String> {
    equal("status", &answer.status(), &reference.status())?;
    for name in reference.headers().keys() {
        let values = |response: &Response<Bytes>| -> Vec<String> {
            let values = response.headers().get_all(name).iter();
            values
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
                .collect()
        };
        equal(name.as_str(), &values(answer), &values(reference))?;
    }
    for name in [
        ALLOW,
        CONTENT_ENCODING,
        CONTENT_SECURITY_POLICY,
        LOCATION,
        SET_COOKIE,
    ] {
        equal(
            name.as_str(),
            &answer.headers().contains_key(&name),
            &reference.headers().contains_key(&name),
        )?;
    }
    equal(
        "body",
        &String::from_utf8_lossy(answer.body()),
        &String::from_utf8_lossy(reference.body()),
    )
}

fn equal<T: PartialEq + Debug + ?Sized>(
    what: &str,
    answer: &T,
    expected: &T,
) -> Result<(), String> {
    if answer == expected {
        Ok(())
    } else {
        Err(format!("{what}: {answer:?} instead of {expected:?}"))
    }
}
