//! Ids as the types of SeaORM's columns, with the feature `sea-orm`. They are implemented here because Rust
//! lets only the crate of the trait or of the type do it.

/// Stores a type that wraps a [`uuid::Uuid`] as a column of UUIDs.
macro_rules! uuid_column {
    ($name:ident) => {
        const _: () = {
            use sea_orm::sea_query::{ArrayType, ColumnType, Nullable, ValueType, ValueTypeErr};
            use sea_orm::{
                ActiveValue, ColIdx, DbErr, IntoActiveValue, QueryResult, TryFromU64, TryGetError,
                TryGetable, Value,
            };
            use uuid::Uuid;

            impl From<$name> for Value {
                fn from(id: $name) -> Self {
                    id.0.into()
                }
            }

            impl TryGetable for $name {
                fn try_get_by<I: ColIdx>(row: &QueryResult, index: I) -> Result<Self, TryGetError> {
                    Uuid::try_get_by(row, index).map(Self)
                }
            }

            impl ValueType for $name {
                fn try_from(value: Value) -> Result<Self, ValueTypeErr> {
                    <Uuid as ValueType>::try_from(value).map(Self)
                }

                fn type_name() -> String {
                    stringify!($name).to_owned()
                }

                fn array_type() -> ArrayType {
                    <Uuid as ValueType>::array_type()
                }

                fn column_type() -> ColumnType {
                    <Uuid as ValueType>::column_type()
                }
            }

            impl Nullable for $name {
                fn null() -> Value {
                    Uuid::null()
                }
            }

            impl IntoActiveValue<Self> for $name {
                fn into_active_value(self) -> ActiveValue<Self> {
                    ActiveValue::Set(self)
                }
            }

            impl TryFromU64 for $name {
                fn try_from_u64(n: u64) -> Result<Self, DbErr> {
                    Uuid::try_from_u64(n).map(Self)
                }
            }
        };
    };
}

pub(crate) use uuid_column;
