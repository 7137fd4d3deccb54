-- The table of the health check "database" with write = true. It is empty between runs.
CREATE TABLE health_check_db_testmodel (
    id BIGINT NOT NULL PRIMARY KEY,
    title VARCHAR(128) NOT NULL
);
