//! stub
pub fn apply(_: &mut super::api::SidecarSet) {}
