// A frontend as anybody writes one. It tells all that it has seen in one piece of JSON.
const api = new URLSearchParams(location.search).get("api");
const get = (path, headers = {}) => fetch(api + path, { headers });

async function pages(first) {
    const rows = [];
    for (let next = first; next !== null; ) {
        const body = await (await get(next)).json();
        rows.push(body.data.map((row) => row.account_id));
        next = body.page.next;
    }
    return rows;
}

async function look() {
    const list = await get("/v1/views/balance");
    const tag = list.headers.get("etag");
    const missing = await get("/v1/views/balance/nobody");
    const written = await (await fetch("/write", { method: "POST" })).text();
    const own = await get("/v1/views/balance/mine", { "Read-After": written, Prefer: "wait=30" });
    return {
        listed: (await list.json()).data.length,
        pages: await pages("/v1/views/balance?limit=2"),
        filtered: await pages("/v1/views/balance?country=eq.FR&order=amount.desc&select=account_id"),
        position: list.headers.get("projection-position") !== null,
        held: (await get("/v1/views/balance/a", { "If-None-Match": (await get("/v1/views/balance/a")).headers.get("etag") })).status,
        tagged: tag !== null,
        missing: [missing.status, (await missing.json()).type],
        csv: (await (await get("/v1/views/balance?select=account_id", { Accept: "text/csv" })).text()).split("\r\n")[0],
        own: [own.status, (await own.json()).data?.holder],
        tools: (await (await get("/openapi.json")).json()).openapi,
        operators: await get("/admin/v1/models").then((answer) => answer.status, () => "kept out"),
    };
}

const told = document.getElementById("told");
look().then((seen) => (told.textContent = JSON.stringify(seen)), (error) => (told.textContent = JSON.stringify(String(error))));
