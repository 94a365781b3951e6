//! The load: order number N is the same for whoever asks, as Avro bytes or as values, so that all who are compared write
//! the same rows.

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

pub const STATUS: [&str; 4] = ["PLACED", "PAID", "SHIPPED", "DELIVERED"];
pub const CURRENCY: &str = "EUR";
pub const COUNTRY: &str = "EU";

const CUSTOMERS: u32 = 100_000;
const GIVEN: [&str; 8] =
    ["Amalia", "Benito", "Chiara", "Dmitri", "Estela", "Farid", "Gudrun", "Henrik"];
const FAMILY: [&str; 8] = [
    "Almeida",
    "Bergström",
    "Castellanos",
    "Dvořák",
    "Eriksson",
    "Fontaine",
    "Grimaldi",
    "Hoffmann",
];
const STREET: [&str; 4] = [
    "Avenida de la Constitución",
    "Rue du Faubourg Saint-Antoine",
    "Karl-Liebknecht-Straße",
    "Via Nazionale",
];
const CITY: [&str; 10] = [
    "Sevilla",
    "Lyon",
    "Leipzig",
    "Torino",
    "Porto",
    "Gdańsk",
    "Malmö",
    "Utrecht",
    "Graz",
    "Ljubljana",
];
const PAYMENT: [&str; 4] = ["credit_card", "bank_transfer", "direct_debit", "cash_on_delivery"];
const NOTE: &str = "Please call before you come: the house is behind the bakery and the gate is shut until noon or so. If nobody \
                    answers, the people across the street take parcels gladly, at any hour.";

/// One state of an order.
pub struct Order {
    pub order_id: String,
    pub customer_id: String,
    pub customer_name: String,
    /// Place in [`STATUS`].
    pub status: usize,
    /// Below a million.
    pub cents: i32,
    pub item_count: i32,
    /// Milliseconds since 1970, as is `event_at`.
    pub placed_at: i64,
    pub event_at: i64,
    pub payment_method: &'static str,
    pub ship_street: String,
    pub ship_city: &'static str,
    pub ship_postcode: String,
    pub note: Option<&'static str>,
}

impl Order {
    pub fn new(number: u64, status: usize, event_at: i64) -> Self {
        let mut random = SmallRng::seed_from_u64(number);
        let mut pick = |of: usize| random.random_range(0..of);
        let (given, family, street) = (GIVEN[pick(8)], FAMILY[pick(8)], STREET[pick(4)]);
        Self {
            customer_id: format!("customer-{}", pick(CUSTOMERS as usize)),
            customer_name: format!("{given} {family}"),
            status,
            cents: pick(1_000_000) as i32,
            item_count: 1 + pick(9) as i32,
            placed_at: 1_700_000_000_000 + number as i64 * 137,
            event_at,
            payment_method: PAYMENT[pick(4)],
            ship_street: format!("{street} {}, third floor", 1 + pick(240)),
            ship_city: CITY[pick(10)],
            ship_postcode: format!("{:05}", pick(100_000)),
            note: (pick(8) > 0).then_some(NOTE),
            order_id: format!("{:032x}", random.random::<u128>()),
        }
    }

    /// Appends the Avro datum.
    pub fn encode(&self, out: &mut Vec<u8>) {
        text(out, &self.order_id);
        text(out, &self.customer_id);
        text(out, &self.customer_name);
        long(out, self.status as i64);
        bytes(out, &self.cents.to_be_bytes());
        text(out, CURRENCY);
        long(out, self.item_count.into());
        long(out, self.placed_at);
        long(out, self.event_at);
        text(out, self.payment_method);
        text(out, &self.ship_street);
        text(out, self.ship_city);
        text(out, &self.ship_postcode);
        text(out, COUNTRY);
        long(out, self.note.is_some().into());
        if let Some(note) = self.note {
            text(out, note);
        }
    }
}

fn text(out: &mut Vec<u8>, value: &str) {
    bytes(out, value.as_bytes());
}

fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    long(out, value.len() as i64);
    out.extend_from_slice(value);
}

/// Zigzag, then seven bits a byte, the lowest first.
fn long(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}
