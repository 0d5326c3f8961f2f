//! Kubernetes: the operator, its custom resources, manifests and Helm chart.
//!
//! Empty so far: this version runs models in the proxy's own process. What comes here is a custom
//! resource `ModelPool` (device, models, minimum and maximum of workers) and the operator that
//! makes Deployments of it; it may depend on the catalog and on nothing else of this workspace.
