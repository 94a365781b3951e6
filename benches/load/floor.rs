//! What Postgres takes from a client that does nothing but write orders: by the thousand in one `UNNEST`, or one by one.

use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgConnection, PgHasArrayType, PgTypeInfo};
use sqlx::{Postgres, Type};

use crate::order::{COUNTRY, CURRENCY, Order, STATUS};

macro_rules! upsert {
    ($source:literal) => {
        concat!(
            "INSERT INTO orders (order_id, customer_id, customer_name, status, amount, currency, item_count, placed_at, \
             event_at, payment_method, ship_street, ship_city, ship_postcode, ship_country, note) ",
            $source,
            " ON CONFLICT (order_id) DO UPDATE SET customer_id = EXCLUDED.customer_id, \
             customer_name = EXCLUDED.customer_name, status = EXCLUDED.status, amount = EXCLUDED.amount, \
             currency = EXCLUDED.currency, item_count = EXCLUDED.item_count, placed_at = EXCLUDED.placed_at, \
             event_at = EXCLUDED.event_at, payment_method = EXCLUDED.payment_method, \
             ship_street = EXCLUDED.ship_street, ship_city = EXCLUDED.ship_city, \
             ship_postcode = EXCLUDED.ship_postcode, ship_country = EXCLUDED.ship_country, note = EXCLUDED.note"
        )
    };
}

/// One statement, which is one transaction, for orders whose keys differ.
pub async fn unnest(connection: &mut PgConnection, orders: &[Order]) -> sqlx::Result<()> {
    fn column<'a, T>(orders: &'a [Order], value: impl Fn(&'a Order) -> T) -> Vec<T> {
        orders.iter().map(value).collect()
    }
    let statement = upsert!(
        "SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::numeric[], $6::text[], $7::int4[], \
         $8::timestamptz[], $9::timestamptz[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], \
         $15::text[])"
    );
    sqlx::query(statement)
        .bind(column(orders, |order| order.order_id.as_str()))
        .bind(column(orders, |order| order.customer_id.as_str()))
        .bind(column(orders, |order| order.customer_name.as_str()))
        .bind(column(orders, |order| STATUS[order.status]))
        .bind(column(orders, |order| Cents(order.cents)))
        .bind(column(orders, |_| CURRENCY))
        .bind(column(orders, |order| order.item_count))
        .bind(column(orders, |order| Millis(order.placed_at)))
        .bind(column(orders, |order| Millis(order.event_at)))
        .bind(column(orders, |order| order.payment_method))
        .bind(column(orders, |order| order.ship_street.as_str()))
        .bind(column(orders, |order| order.ship_city))
        .bind(column(orders, |order| order.ship_postcode.as_str()))
        .bind(column(orders, |_| COUNTRY))
        .bind(column(orders, |order| order.note))
        .execute(connection)
        .await?;
    Ok(())
}

/// A statement an order; the transaction is the caller's.
#[allow(dead_code, reason = "one of the two programs that use this file has no need of it")]
pub async fn one_by_one(connection: &mut PgConnection, orders: &[Order]) -> sqlx::Result<()> {
    let statement =
        upsert!("VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)");
    for order in orders {
        sqlx::query(statement)
            .bind(order.order_id.as_str())
            .bind(order.customer_id.as_str())
            .bind(order.customer_name.as_str())
            .bind(STATUS[order.status])
            .bind(Cents(order.cents))
            .bind(CURRENCY)
            .bind(order.item_count)
            .bind(Millis(order.placed_at))
            .bind(Millis(order.event_at))
            .bind(order.payment_method)
            .bind(order.ship_street.as_str())
            .bind(order.ship_city)
            .bind(order.ship_postcode.as_str())
            .bind(COUNTRY)
            .bind(order.note)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// `numeric` with two decimals; below a million cents, so one digit of base 10,000 on either side of the point.
struct Cents(i32);

/// `timestamptz`.
struct Millis(i64);

/// Of 2000-01-01, where Postgres's time begins.
const EPOCH_MILLIS: i64 = 946_684_800_000;

impl Encode<'_, Postgres> for Cents {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let (digits, weight, sign, scale) = (2, 0, 0, 2);
        for part in [digits, weight, sign, scale, self.0 / 100, self.0 % 100 * 100] {
            buffer.extend_from_slice(&(part as i16).to_be_bytes());
        }
        Ok(IsNull::No)
    }
}

impl Encode<'_, Postgres> for Millis {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(&((self.0 - EPOCH_MILLIS) * 1000).to_be_bytes());
        Ok(IsNull::No)
    }
}

impl Type<Postgres> for Cents {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(1700))
    }
}

impl PgHasArrayType for Cents {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(1231))
    }
}

impl Type<Postgres> for Millis {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(1184))
    }
}

impl PgHasArrayType for Millis {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(1185))
    }
}
