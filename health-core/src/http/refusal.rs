//! Why a request is answered without any check, and what it is told.

use http::StatusCode;

use crate::Health;
use crate::render::Renderers;

/// A request that is answered without running any check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The path is another's, or the token is not right.
    NotFound,
    UnknownGroup,
    /// `?only=` names a check that the plan in this place does not have.
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

    /// What is wrong, and what would be right.
    pub(super) fn message(self, health: &Health) -> String {
        let list = |names: Vec<&str>| names.join(", ");
        match self {
            Self::NotFound => "Not Found".to_owned(),
            Self::UnknownGroup => format!("Not Found: the groups are {}", list(health.groups().collect())),
            Self::UnknownCheck(plan) => {
                format!("Not Found: the checks here are {}", list(health.members(plan).collect()))
            }
            Self::UnknownMethod => "Method Not Allowed: use GET, HEAD or OPTIONS".to_owned(),
            Self::UnknownFormat => {
                format!("Bad Request: the formats are {}", list(health.renderers().formats().collect()))
            }
            Self::NotAcceptable => {
                format!("Not Acceptable: Supported content types: {}", list(content_types(health.renderers())))
            }
        }
    }
}

/// What each format is known for, without parameters; each once.
fn content_types(renderers: &Renderers) -> Vec<&str> {
    let main = renderers.iter().filter_map(|renderer| renderer.media_types().first()?.split(';').next());
    main.fold(Vec::new(), |mut types, media_type| {
        if !types.contains(&media_type) {
            types.push(media_type);
        }
        types
    })
}
