//! Consumer groups that nobody needs any more.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};

use super::settings::KafkaSettings;

/// Deletes a group that has no members; whether it is gone.
///
/// # Errors
/// The broker did not answer within `timeout`.
pub async fn delete_group(
    settings: &KafkaSettings,
    group: &str,
    timeout: Duration,
) -> KafkaResult<bool> {
    let admin: AdminClient<DefaultClientContext> = settings.client().create()?;
    let options = AdminOptions::new().request_timeout(Some(timeout));
    let answers = admin.delete_groups(&[group], &options).await?;
    let gone = |answer: Result<String, (String, RDKafkaErrorCode)>| match answer {
        Ok(_) | Err((_, RDKafkaErrorCode::GroupIdNotFound)) => true,
        Err((_, error)) => {
            tracing::debug!(group, ?error, "the group stays for now");
            false
        }
    };
    Ok(answers.into_iter().all(gone))
}
