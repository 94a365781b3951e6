// Reads the views through a client that was generated from the OpenAPI document. What does not fit the document does not
// compile; what does not fit the service ends with a message.
import createClient from "openapi-fetch";
import type { paths } from "./views.js";

const [baseUrl = "", legs = ""] = process.argv.slice(2);
// Of the forms that a list has, these are the ones that this client asks for.
type Form = "application/json" | "application/problem+json";
const client = createClient<paths, Form>({ baseUrl });

function expect(holds: boolean, what: string, seen: unknown): asserts holds {
    if (!holds) throw new Error(`${what}: ${JSON.stringify(seen)}`);
}

// Every page of a list, each row once.
const seen = new Set<string>();
let cursor: string | undefined;
let pages = 0;
do {
    const query = { limit: 100, number: ["gte.1"], ...(cursor === undefined ? {} : { cursor }) };
    const { data, error } = await client.GET("/v1/views/flight.leg", { params: { query } });
    expect(data !== undefined, "a page", error);
    for (const { flight_id, number } of data.data) seen.add(`${flight_id}/${number}`);
    expect(data.meta.view === "flight.leg", "meta", data.meta);
    const next = data.page.next;
    cursor = next === null ? undefined : (new URL(next, baseUrl).searchParams.get("cursor") ?? undefined);
    pages += 1;
} while (cursor !== undefined);
expect(seen.size === Number(legs) && pages > 2, `${legs} rows on several pages`, [seen.size, pages]);

// A row by its key, and its columns by name.
const row = await client.GET("/v1/views/flight/{flight_id}", { params: { path: { flight_id: "F1" } } });
expect(row.data?.data.carrier === "KL", "a row", row);
const delay: number | null | undefined = row.data.data.delay;
expect(delay === 5 && row.response.headers.get("projection-position") !== null, "its columns and its position", row.data);

// Several filters on one column, an order, some columns.
const filtered = await client.GET("/v1/views/flight", {
    params: { query: { delay: ["gte.5", "lt.90"], order: "flight_id.desc", select: "flight_id,delay" } },
});
expect(JSON.stringify(filtered.data?.data) === '[{"flight_id":"F1","delay":5}]', "filters", filtered);

// A problem has the shape that the document gives it.
const wrong = await client.GET("/v1/views/flight", { params: { query: { order: "fare" } } });
expect(wrong.error?.type === "/problems/order-needs-index", "a problem", wrong.error);

console.log(`${seen.size} rows on ${pages} pages`);
