// Draws every chart of the page into the element before its specification, as wide as that, in the reader's colors.
const dark = window.matchMedia("(prefers-color-scheme: dark)");

function fitted({ $schema, ...spec }, width) {
  const values = spec.data.values;
  if (!spec.facet) { // Vega-Lite fits no width beside a height by step
    return { ...spec, width: "container", height: spec.height?.step ? spec.height.step * values.length : spec.height };
  }
  const columns = spec.facet.column ? new Set(values.map((point) => point[spec.facet.column.field])).size : 1;
  const labels = 110; // axis labels and titles
  const each = Math.max(90, (width - labels) / columns - 20);
  const height = spec.spec.height.step ? spec.spec.height : Math.min(260, each);
  return { ...spec, spec: { ...spec.spec, width: each, height } };
}

// the colors of the page's style sheet
function config(narrow) {
  const style = getComputedStyle(document.documentElement);
  const [ink, soft, line, edge] = ["--ink", "--soft", "--line", "--edge"].map((name) => style.getPropertyValue(name));
  const text = { labelColor: soft, titleColor: ink };
  return {
    background: "transparent",
    view: { stroke: line },
    axisY: { labelLimit: narrow ? 110 : 220 },
    axis: { ...text, gridColor: line, domainColor: edge, tickColor: edge, labelOverlap: true },
    legend: { ...text, orient: "bottom", symbolBaseFillColor: "grey", symbolBaseStrokeColor: "grey" },
    header: { labelColor: ink, titleColor: ink },
  };
}

function draw() {
  for (const source of document.querySelectorAll("script.spec")) {
    const box = source.previousElementSibling;
    window.vegaEmbed(box, fitted(JSON.parse(source.textContent), box.clientWidth), {
      mode: "vega-lite", // of the version in this page, whatever version the specification names
      actions: false,
      renderer: "svg",
      config: config(box.clientWidth < 400),
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
