// Draws every chart of the page into the element before its specification, as wide as that, in the reader's colors.
const dark = window.matchMedia("(prefers-color-scheme: dark)");

function fitted({ $schema, ...spec }, width) {
  if (!spec.facet) return { ...spec, width: "container" };
  const values = spec.data.values;
  const columns = spec.facet.column ? new Set(values.map((point) => point[spec.facet.column.field])).size : 1;
  const labels = 110; // axis labels and titles
  const each = Math.max(90, (width - labels) / columns - 20);
  const height = spec.spec.height.step ? spec.spec.height : Math.min(260, each);
  return { ...spec, spec: { ...spec.spec, width: each, height } };
}

const legend = { orient: "bottom", symbolBaseFillColor: "grey", symbolBaseStrokeColor: "grey" };

// Vega-Lite warns about the chart of slices, whose y scales are independent on purpose; vegaEmbed passes it no logger.
console.warn = () => {};

function draw() {
  const axis = { labelOverlap: true, ...(dark.matches && { gridColor: "#3d444d", domainColor: "#6e7681" }) };
  for (const source of document.querySelectorAll("script.spec")) {
    const box = source.previousElementSibling;
    window.vegaEmbed(box, fitted(JSON.parse(source.textContent), box.clientWidth), {
      mode: "vega-lite", // of the version in this page, whatever version the specification names
      actions: false,
      renderer: "svg",
      theme: dark.matches ? "dark" : undefined,
      config: { background: "transparent", legend, axis },
    });
  }
}

let waiting;
window.addEventListener("resize", () => {
  clearTimeout(waiting);
  waiting = setTimeout(draw, 200);
});
dark.addEventListener("change", draw);
draw();
