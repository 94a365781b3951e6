//! What others may do with a stable schema, for the one that takes its place: a BI reader's grants outlive a swap.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _};

use crate::fault::Fault;

/// Each privilege on schema `$1`, its relations and their columns as a statement that grants it on schema `$2`, where a
/// relation and column of that name is there, too; and the privileges that what is made in it later will have.
const GRANTS: &str = "
    WITH relation AS (
        SELECT c.oid, c.relname, c.relacl, c.relowner FROM pg_class c
        WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
          AND EXISTS (SELECT FROM pg_class t WHERE t.relname = c.relname
                      AND t.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $2))
    ), privilege AS (
        SELECT format('%s ON SCHEMA %I', a.privilege_type, $2) AS what, a.grantee, a.is_grantable, n.nspowner AS owner
        FROM pg_namespace n, aclexplode(n.nspacl) a WHERE n.nspname = $1
        UNION ALL
        SELECT format('%s ON %I.%I', a.privilege_type, $2, r.relname), a.grantee, a.is_grantable, r.relowner
        FROM relation r, aclexplode(r.relacl) a
        UNION ALL
        SELECT format('%s (%I) ON %I.%I', a.privilege_type, c.attname, $2, r.relname), a.grantee, a.is_grantable, r.relowner
        FROM relation r JOIN pg_attribute c ON c.attrelid = r.oid AND NOT c.attisdropped, aclexplode(c.attacl) a
        WHERE EXISTS (
            SELECT FROM pg_attribute o WHERE o.attname = c.attname AND NOT o.attisdropped
              AND o.attrelid = (SELECT oid FROM pg_class WHERE relname = r.relname
                                AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $2)))
    )
    SELECT format('GRANT %s TO %s%s', what, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
                  CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM privilege WHERE grantee <> owner
    UNION ALL
    SELECT format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT %s ON %s TO %s%s',
                  pg_get_userbyid(d.defaclrole), $2, a.privilege_type,
                  CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' ELSE 'TYPES' END,
                  CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
                  CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM pg_default_acl d JOIN pg_namespace n ON n.oid = d.defaclnamespace, aclexplode(d.defaclacl) a
    WHERE n.nspname = $1";

/// Grants on schema `to` what is granted on schema `from`; of relations that only the one has, nothing.
///
/// # Errors
/// Postgres's.
pub(crate) async fn copy_grants(
    connection: &mut PgConnection,
    from: &str,
    to: &str,
) -> Result<(), Fault> {
    let grants: Vec<String> =
        sqlx::query_scalar(GRANTS).bind(from).bind(to).fetch_all(&mut *connection).await?;
    for grant in grants {
        connection.execute(AssertSqlSafe(grant)).await?;
    }
    Ok(())
}
