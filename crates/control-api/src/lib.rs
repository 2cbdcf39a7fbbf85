//! JSON shapes and problem codes of the control plane
