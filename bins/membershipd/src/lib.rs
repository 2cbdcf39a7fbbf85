//! The bus daemon: control plane and data plane in one process
