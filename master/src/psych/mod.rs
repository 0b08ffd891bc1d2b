//! Ruby's dialect of YAML. Knows nothing of einhorn.

mod value;

pub use value::Value;
