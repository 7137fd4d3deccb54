//! Requests that are refused without running a check.

use http::StatusCode;

use super::Endpoint;
use crate::render::Renderer;

/// The reason of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The path is not this endpoint's, or the token is invalid.
    NotFound,
    UnknownGroup,
    /// `?only=` names a check that is not in the plan at this position.
    UnknownCheck(usize),
    UnknownMethod,
    UnknownFormat,
    NotAcceptable,
}

impl Refusal {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::NotFound | Self::UnknownGroup | Self::UnknownCheck(_) => StatusCode::NOT_FOUND,
            Self::UnknownMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::UnknownFormat => StatusCode::BAD_REQUEST,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
        }
    }

    /// Says what is wrong and what would be right.
    pub(super) fn message(self, endpoint: &Endpoint) -> String {
        let health = endpoint.health();
        let list = |names: Vec<&str>| names.join(", ");
        match self {
            Self::NotFound => "Not Found".to_owned(),
            Self::UnknownGroup => format!(
                "Not Found: the groups are {}",
                list(health.groups().collect())
            ),
            Self::UnknownCheck(plan) => {
                format!(
                    "Not Found: the checks here are {}",
                    list(health.members(plan).collect())
                )
            }
            Self::UnknownMethod => "Method Not Allowed: use GET, HEAD or OPTIONS".to_owned(),
            Self::UnknownFormat => {
                format!(
                    "Bad Request: the formats are {}",
                    list(endpoint.renderers().map(Renderer::format).collect())
                )
            }
            Self::NotAcceptable => {
                format!(
                    "Not Acceptable: Supported content types: {}",
                    list(content_types(endpoint))
                )
            }
        }
    }
}

/// Returns the main media type of each format, without parameters and duplicates.
fn content_types(endpoint: &Endpoint) -> Vec<&str> {
    let main = endpoint
        .renderers()
        .filter_map(|renderer| renderer.media_types().first()?.split(';').next());
    main.fold(Vec::new(), |mut types, media_type| {
        if !types.contains(&media_type) {
            types.push(media_type);
        }
        types
    })
}
