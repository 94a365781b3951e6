//! Who asks. Invariant: a query route is answered to a caller whom this room has named, or not at all. A credential is taken
//! from a header alone, and no word of it is ever logged.

mod api_keys;
mod authority;
mod caller;
mod claims;
mod credential;
mod fetched;
mod followed;
mod keyring;
mod provider;
mod reader;
mod refusal;
mod settings;
mod token;

pub(crate) use authority::Authority;
pub(crate) use caller::Caller;
pub use followed::Unreadable;
pub use reader::{Bearer, Reader};
pub use settings::{AuthSettings, KeySource, TokenSettings, is_safe_address};
