//! DescribeClusters.

use aws_json::{Caller, Operation, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Filters, known, page, passes, scope};
use crate::control::CloudHsm;
use crate::model::given;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribeClusters {
    #[serde(default)]
    filters: Filters,
    next_token: Option<String>,
    max_results: Option<usize>,
}

impl Operation<CloudHsm> for DescribeClusters {
    type Output = Value;

    fn run(self, hsm: &CloudHsm, caller: &Caller) -> Result<Value> {
        known(&self.filters, &["clusterIds", "vpcIds", "states"])?;
        let shown: Vec<(String, Value)> = hsm.store.read(|state| {
            let Some(realm) = state.realm(&scope(caller)) else {
                return Vec::new();
            };
            let wanted = realm.clusters.values().filter(|c| {
                passes(&self.filters, "clusterIds", &[&c.id])
                    && passes(&self.filters, "vpcIds", &[&c.vpc])
                    && passes(&self.filters, "states", &[c.state.name()])
            });
            // In the order of their creation.
            let key = |time: f64, id: &str| format!("{time:020.3} {id}");
            wanted
                .map(|c| (key(c.created, &c.id), c.view(&realm.vpc)))
                .collect()
        });
        let page = page(
            "DescribeClusters",
            shown,
            |c| c.0.clone(),
            self.max_results,
            25,
            self.next_token.as_deref(),
        )?;
        let clusters: Vec<Value> = page.items.into_iter().map(|c| c.1).collect();
        Ok(given(
            json!({ "Clusters": clusters, "NextToken": page.next }),
        ))
    }
}
