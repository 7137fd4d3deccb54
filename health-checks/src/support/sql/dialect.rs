/// The statements of a database that are not the same in all of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dialect {
    pub(crate) name: &'static str,
    /// A number: 0 where the server takes writes.
    pub(crate) read_only: &'static str,
    /// A write that is taken back, where the number above does not tell everything.
    pub(crate) try_write: Option<&'static str>,
    pub(crate) insert: &'static str,
    pub(crate) select: &'static str,
    pub(crate) update: &'static str,
    pub(crate) delete: &'static str,
}

impl Dialect {
    #[cfg(feature = "postgres")]
    pub(crate) const POSTGRES: Self = Self {
        name: "Postgres",
        read_only: "SELECT (pg_is_in_recovery() OR current_setting('transaction_read_only')::bool)::int::int8",
        try_write: None,
        insert: "INSERT INTO health_check_db_testmodel (id, title) VALUES ($1, 'test')",
        select: "SELECT title FROM health_check_db_testmodel WHERE id = $1",
        update: "UPDATE health_check_db_testmodel SET title = 'newtest' WHERE id = $1",
        delete: "DELETE FROM health_check_db_testmodel WHERE id = $1",
    };

    #[cfg(feature = "mysql")]
    pub(crate) const MYSQL: Self =
        Self { name: "MySql", read_only: "SELECT CAST(@@global.read_only AS SIGNED)", ..Self::QUESTION_MARKS };

    #[cfg(feature = "sqlite")]
    pub(crate) const SQLITE: Self = Self {
        name: "Sqlite",
        read_only: "SELECT query_only FROM pragma_query_only",
        try_write: Some("CREATE TABLE health_check_try_write (id INTEGER)"),
        ..Self::QUESTION_MARKS
    };

    #[cfg(any(feature = "mysql", feature = "sqlite"))]
    const QUESTION_MARKS: Self = Self {
        name: "",
        read_only: "",
        try_write: None,
        insert: "INSERT INTO health_check_db_testmodel (id, title) VALUES (?, 'test')",
        select: "SELECT title FROM health_check_db_testmodel WHERE id = ?",
        update: "UPDATE health_check_db_testmodel SET title = 'newtest' WHERE id = ?",
        delete: "DELETE FROM health_check_db_testmodel WHERE id = ?",
    };
}
