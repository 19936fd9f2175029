use serde_json::json;

use super::*;

mod recorded_revisions;
