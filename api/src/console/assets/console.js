// Says where what is shown is not renewed any more. Everything else works without script, but for the renewing.
const stale = document.getElementById("stale");
document.addEventListener("htmx:error", () => {
    stale.hidden = false;
});
document.addEventListener("htmx:after:request", (event) => {
    stale.hidden = event.detail.ctx.response.status < 400;
});
