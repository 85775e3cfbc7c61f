/// Why a directory was not read as a model of a family.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FamilyError {
    /// The directory says that it is something that no family knows.
    #[error(
        "{file}: it says {found}, which is not a kind of model that this version reads; it reads {known}"
    )]
    Unknown {
        /// The file that says it.
        file: String,
        /// What it says.
        found: String,
        /// The known ones.
        known: String,
    },
    /// A JSON file does not parse.
    #[error("{file}: {reason}")]
    Json {
        /// The file.
        file: String,
        /// What is wrong, with its line.
        reason: String,
    },
    /// A key has a value that the family's graphs do not support, or one that makes no sense.
    #[error("{file}: `{key}` is {found}; {reason}")]
    Value {
        /// The file.
        file: String,
        /// The key.
        key: String,
        /// Its value.
        found: String,
        /// What would do.
        reason: String,
    },
    /// Values that do not fit each other.
    #[error("the model's configuration contradicts itself: {reason}")]
    Check {
        /// Which and why.
        reason: String,
    },
    /// The index of sharded weights is not usable.
    #[error("{file}: {reason}")]
    Index {
        /// The index.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// None of the files that would do is there.
    #[error("none of the files {tried} is there; the model needs one of them")]
    Missing {
        /// The files that were looked for.
        tried: String,
    },
    /// The values are each in range, but what they make together is not.
    #[error("the model's configuration makes no model: {reason}")]
    Manifest {
        /// What is wrong.
        reason: String,
    },
    /// The family's own file is wrong.
    #[error("the family `{family}`: {reason}")]
    Definition {
        /// The family.
        family: String,
        /// What is wrong.
        reason: String,
    },
}
