//! ScheduleKeyDeletion.

use aws_json::{Caller, Operation, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::{Result, VALIDATION, internal};
use crate::keys::{self, KeyState};
use crate::kms::Kms;
use crate::records::Deletion;

const DAY: f64 = 86_400.0;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ScheduleKeyDeletion {
    key_id: String,
    pending_window_in_days: Option<i64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Scheduled {
    key_id: String,
    deletion_date: Timestamp,
    key_state: &'static str,
    pending_window_in_days: i64,
}

impl Operation<Kms> for ScheduleKeyDeletion {
    type Output = Scheduled;

    fn run(self, kms: &Kms, caller: &Caller) -> Result<Scheduled> {
        let days = self.pending_window_in_days.unwrap_or(30);
        // The model takes 1 to 365, the service 7 to 30.
        let wrong = |bound: &str| {
            Err(VALIDATION.says(format!(
                "1 validation error detected: Value '{days}' at 'pendingWindowInDays' failed to satisfy constraint: Member must have value {bound}"
            )))
        };
        match days {
            ..7 => return wrong("greater than or equal to 7"),
            31.. => return wrong("less than or equal to 30"),
            _ => {}
        }
        let now = kms.clock.now();
        let key = kms.change_key(caller, &self.key_id, |key| {
            keys::not_pending(key)?;
            key.deletion = Some(Deletion {
                at: now + days as f64 * DAY,
                days,
            });
            Ok(())
        })?;
        let deletion = key
            .deletion
            .ok_or_else(|| internal("the deletion was not kept"))?;
        Ok(Scheduled {
            key_id: key.arn(),
            deletion_date: Timestamp(deletion.at),
            key_state: KeyState::PendingDeletion.name(),
            pending_window_in_days: deletion.days,
        })
    }
}
