//! The registry's HTTP, by `schema_registry_converter`, and all that is odd about that client: nothing outside of this file
//! reads its texts, and what is said of a failed call is a [`Failure`].

use std::error::Error;
use std::time::Duration;

use schema_registry_converter::async_impl::schema_registry::{
    SrSettings, get_all_subjects, get_all_versions, get_referenced_schema,
    get_schema_by_guid_and_type, get_schema_by_id_and_type, get_schema_by_subject_and_version,
    post_schema,
};
use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::{
    RawError, RegisteredSchema, SuppliedSchema,
};
pub(super) use schema_registry_converter::schema_registry_common::{
    RegisteredReference, SchemaType,
};

use crate::read::frame::SchemaRef;

/// For connecting and for reading an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where the registry is, and who asks. A token goes before a name and password.
#[derive(Clone, Default)]
pub struct RegistrySettings {
    pub url: String,
    pub username: Option<String>,
    pub password: Option<String>,
    pub token: Option<String>,
    /// Certificates in PEM: authorities that are trusted besides the system's.
    pub roots: Vec<u8>,
}

/// Why a call gave nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// An HTTP status that is no success, and the registry's own code, if the body was the registry's.
    Status { status: u16, code: Option<u32>, reason: String },
    /// No answer, or one that comes from something in between.
    NoAnswer { reason: String },
    /// The answer cannot be used, or the call cannot be made.
    Unusable { reason: String },
}

#[derive(Debug)]
pub(super) struct Client {
    settings: SrSettings,
}

impl Client {
    pub(super) fn new(settings: &RegistrySettings) -> Result<Self, Failure> {
        let mut builder = SrSettings::new_builder(settings.url.trim_end_matches('/').to_owned());
        builder.set_timeout(TIMEOUT);
        match (&settings.token, &settings.username) {
            (Some(token), _) => {
                builder.set_token_authorization(token);
            }
            (None, Some(name)) => {
                builder.set_basic_authorization(name, settings.password.as_deref());
            }
            (None, None) => {}
        }
        let roots = reqwest::Certificate::from_pem_bundle(&settings.roots);
        let roots = roots.map_err(|error| Failure::Unusable { reason: error.to_string() })?;
        let http = reqwest::Client::builder().tls_certs_merge(roots);
        Ok(Self { settings: builder.build_with(http)? })
    }

    pub(super) async fn schema(&self, reference: &SchemaRef) -> Result<RegisteredSchema, Failure> {
        let (settings, avro) = (&self.settings, SchemaType::Avro);
        Ok(match reference {
            SchemaRef::Id(id) => get_schema_by_id_and_type(*id, settings, avro).await?,
            SchemaRef::Guid(guid) => {
                get_schema_by_guid_and_type(&guid.to_string(), settings, avro).await?
            }
        })
    }

    pub(super) async fn referenced(
        &self,
        reference: &RegisteredReference,
    ) -> Result<RegisteredSchema, Failure> {
        Ok(get_referenced_schema(&self.settings, reference).await?)
    }

    pub(super) async fn subjects(&self) -> Result<Vec<String>, Failure> {
        Ok(get_all_subjects(&self.settings).await?)
    }

    pub(super) async fn versions(&self, subject: &str) -> Result<Vec<u32>, Failure> {
        // Of the client's calls, this one alone puts the name into the address as it is.
        Ok(get_all_versions(&self.settings, subject.replace('/', "%2F")).await?)
    }

    pub(super) async fn registered(
        &self,
        subject: &str,
        version: u32,
    ) -> Result<RegisteredSchema, Failure> {
        Ok(get_schema_by_subject_and_version(&self.settings, subject, Some(version)).await?)
    }

    pub(super) async fn register(&self, subject: &str, json: &str) -> Result<u32, Failure> {
        let schema = SuppliedSchema::new(None, SchemaType::Avro, json.to_owned());
        Ok(post_schema(&self.settings, subject.to_owned(), schema).await?.id)
    }
}

impl From<SRCError> for Failure {
    /// The client keeps the HTTP status in a text, the registry's code in a cause, and wraps its own errors in others.
    fn from(error: SRCError) -> Self {
        let reason = match &error.cause {
            Some(cause) => format!("{}: {cause}", error.error),
            None => error.error.clone(),
        };
        let mut causes: Vec<&(dyn Error + 'static)> = vec![&error];
        while let Some(cause) = causes[causes.len() - 1].source() {
            causes.push(cause);
        }
        let own = || causes.iter().filter_map(|cause| cause.downcast_ref::<SRCError>());
        if let Some(status) = own().find_map(status) {
            let body = causes.iter().find_map(|cause| cause.downcast_ref::<RawError>());
            // 0 is what the client makes of a body that is not the registry's.
            let code = body.map(|body| body.error_code).filter(|code| *code != 0);
            let reason = match status {
                401 | 403 => format!(
                    "{reason}; check registry.username and registry.password, or registry.token"
                ),
                _ => reason,
            };
            return Self::Status { status, code, reason };
        }
        let foreign = |error: &SRCError| error.error.starts_with("could not parse to ");
        if own().any(|error| error.retriable || foreign(error)) {
            // Why nothing came is told by the innermost cause alone.
            let why = causes[causes.len() - 1].to_string();
            let way = match why.contains("certificate") {
                true => {
                    "; check registry.tls_ca, and that the certificate is for the host in registry.url"
                }
                false => "",
            };
            let why = if reason.contains(&why) { String::new() } else { format!(": {why}") };
            return Self::NoAnswer { reason: format!("{reason}{why}{way}") };
        }
        Self::Unusable { reason }
    }
}

fn status(error: &SRCError) -> Option<u16> {
    error.error.split_once("with status ")?.1.get(..3)?.parse().ok()
}
