//! Names of records.
