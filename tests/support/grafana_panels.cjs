// Grafana's own code for panels, asked from Python: JSON lines in, one JSON line out for each.
// What is not in its package is written here after its documentation: how variables are filled in,
// and which frames the Prometheus data source makes of an answer.
const { JSDOM } = require('jsdom');
const dom = new JSDOM('<!doctype html><p>', { url: 'http://grafana.example/' });
globalThis.window = dom.window;
globalThis.document = dom.window.document;
for (const name of ['DOMParser', 'Node', 'Element', 'HTMLElement', 'location', 'navigator']) {
  if (!(name in globalThis)) globalThis[name] = dom.window[name];
}
const grafana = require('@grafana/data');
const { lastValueFrom } = require('rxjs');
const { get } = require('lodash');

grafana.standardTransformersRegistry.setInit(() =>
  [...new Set(Object.values(grafana.standardTransformers))].map((one) => ({
    id: one.id,
    name: one.name,
    transformation: async () => one,
  }))
);

const OPTIONS = ['unit', 'min', 'max', 'decimals', 'displayName', 'thresholds', 'mappings', 'color', 'noValue', 'links', 'filterable'];
const OF_PANELS = ['hidden', 'hideFrom'];
const registry = new grafana.FieldConfigOptionsRegistry(() => [
  ...OPTIONS.map((name) => option(name, name, false)),
  ...OF_PANELS.map((name) => option(`custom.${name}`, name, true)),
]);

function option(id, path, isCustom) {
  const process = id === 'links' ? grafana.dataLinksOverrideProcessor : (value) => value;
  return { id, path, name: id, isCustom, process, shouldApply: () => true };
}

const VARIABLE = /\$(\w+)|\$\{(\w+)(?:\.([^:}]+))?(?::([^}]+))?\}/g;

// Returns what fills variables in: those of the board, and those of the point, cell or series that is clicked.
function filler(variables, range, intervalMs) {
  const global = {
    __from: String(range.from),
    __to: String(range.to),
    __interval_ms: String(intervalMs),
    __interval: `${Math.round(intervalMs / 1000)}s`,
    __url_time_range: `from=${range.from}&to=${range.to}`,
    ...variables,
  };
  return (text, scoped, format) =>
    (text ?? '').replace(VARIABLE, (match, bare, braced, path, ownFormat) => {
      const name = bare ?? braced;
      const value = name in MACROS ? MACROS[name](scoped?.__dataContext?.value, path, match) : global[name];
      return value === undefined ? match : formatted(name, value, ownFormat ?? format);
    });
}

function formatted(name, value, format) {
  const values = [].concat(value);
  if (name === '__url_time_range' || format === 'raw') return values.join(',');
  if (format === 'queryparam') return values.map((one) => `var-${name}=${encodeURIComponent(one)}`).join('&');
  if (format === 'percentencode') return encodeURIComponent(values.join(','));
  if (format === 'html') return grafana.textUtil.escapeHtml(values.join(', '));
  if (format === 'uriencode') return encodeURI(values.join(','));
  return values.join(',');
}

const MACROS = {
  __value(context, path, match) {
    if (!context) return match;
    const { frame, field, rowIndex, calculatedValue } = context;
    if (path === 'time') {
      const time = frame.fields.find((one) => one.type === grafana.FieldType.time);
      return rowIndex === undefined || !time ? '' : String(time.values[rowIndex]);
    }
    const shown = calculatedValue ?? field.display(field.values[rowIndex]);
    return String({ raw: field.values?.[rowIndex] ?? shown.numeric, numeric: shown.numeric }[path] ?? shown.text);
  },
  __field(context, path, match) {
    if (!context) return match;
    const { frame, field, data } = context;
    if (path === undefined || path === 'displayName') return grafana.getFieldDisplayName(field, frame, data);
    if (path === 'labels') return grafana.formatLabels(field.labels ?? {}, '', true);
    return get(field, path) ?? '';
  },
  __series(context, path, match) {
    return context ? (context.frame.name ?? '') : match;
  },
  __data(context, path, match) {
    if (!context || context.rowIndex === undefined || !path) return match;
    const { frame, rowIndex, data } = context;
    const row = { fields: grafana.getFieldDisplayValuesProxy({ frame, rowIndex }) };
    return String(get(row, path) ?? '');
  },
};

// Returns the frames that the Prometheus data source makes of the answers to the queries of a panel.
function frames(answers) {
  const tables = answers.filter((one) => one.format === 'table' && one.result.length > 0);
  const tabled = tables.map((one) => table(one, tables.length > 1 ? `Value #${one.refId}` : 'Value'));
  const series = answers.filter((one) => one.format !== 'table');
  return [...tabled, ...series.flatMap((one) => one.result.map((each) => line(one, each)))];
}

function table({ refId, result }, valueName) {
  const labels = [];
  for (const { metric } of result) {
    for (const name of Object.keys(metric).sort()) if (!labels.includes(name)) labels.push(name);
  }
  const points = result.flatMap(({ metric, value, values }) => (values ?? [value]).map((point) => ({ metric, point })));
  const fields = [
    { name: 'Time', type: 'time', config: {}, values: points.map(({ point }) => point[0] * 1000) },
    ...labels.map((name) => ({
      name,
      type: name === 'le' ? 'number' : 'string',
      config: { filterable: true },
      values: points.map(({ metric }) => metric[name] ?? ''),
    })),
    { name: valueName, type: 'number', config: {}, values: points.map(({ point }) => number(point[1])) },
  ];
  return { refId, fields, length: points.length, meta: { preferredVisualisationType: 'table' } };
}

function line({ refId, legend }, { metric, value, values }) {
  const points = values ?? [value];
  const name = legend && legend !== '__auto' ? legend.replace(/\{\{\s*(.+?)\s*\}\}/g, (_, label) => metric[label] ?? '') : undefined;
  const config = name ? { displayNameFromDS: name } : {};
  const { __name__, ...labels } = metric;
  return {
    refId,
    name,
    length: points.length,
    fields: [
      { name: 'Time', type: 'time', config: {}, values: points.map((one) => one[0] * 1000) },
      { name: 'Value', type: 'number', config, labels, values: points.map((one) => number(one[1])) },
    ],
  };
}

const number = (text) => ({ NaN: NaN, '+Inf': Infinity, '-Inf': -Infinity }[text] ?? Number(text));

const OF_ONE_VALUE = ['stat', 'gauge', 'bargauge', 'piechart'];

// Returns what a panel shows: its frames after its transformations, and where each of its points or cells leads.
async function panel({ panel, answers, variables, range, intervalMs }) {
  const fill = filler(variables, range, intervalMs);
  const interpolate = (text) => fill(text, {});
  for (const { id } of panel.transformations ?? []) grafana.standardTransformersRegistry.get(id);
  const transformed = await lastValueFrom(
    grafana.transformDataFrame(panel.transformations ?? [], frames(answers), { interpolate })
  );
  const shown = grafana.applyFieldOverrides({
    data: transformed,
    fieldConfig: panel.fieldConfig,
    fieldConfigRegistry: registry,
    replaceVariables: fill,
    theme: grafana.createTheme(),
    timeZone: 'utc',
  });
  return {
    frames: shown.map((frame) => ({
      refId: frame.refId,
      fields: frame.fields.map((field) => ({
        name: grafana.getFieldDisplayName(field, frame, shown),
        isHidden: Boolean(field.config.custom?.hidden ?? field.config.custom?.hideFrom?.viz),
        labels: field.labels ?? {},
        values: field.values,
        links: clickable(panel.type, field),
      })),
    })),
  };
}

// Returns the links of each value: a table has them in every cell, a chart at its points, and one number by itself.
function clickable(type, field) {
  if (type !== 'table' && field.type === grafana.FieldType.time) return [];
  if (!OF_ONE_VALUE.includes(type)) return field.values.map((_, row) => followed(field, { valueRowIndex: row }));
  return [followed(field, { calculatedValue: field.display(field.values[field.values.length - 1]) })];
}

function followed(field, config) {
  if (!field.getLinks) return []; // A panel without settings of fields has no links.
  return field.getLinks(config).map(({ href, title, target, oneClick }) => ({ href, title, target, oneClick }));
}

// Returns HTML as a text panel or the tooltip of an annotation shows it.
function sanitized({ html, place }) {
  return place === 'annotation' ? grafana.textUtil.sanitize(html) : grafana.textUtil.sanitizeTextPanelContent(html);
}

const units = () => grafana.getValueFormats().flatMap(({ submenu }) => submenu.map(({ value }) => value));

const ASKED = { panel, sanitized, units };

async function main() {
  const lines = require('fs').readFileSync(0, 'utf8').split('\n').filter(Boolean);
  for (const text of lines) {
    const { what, ...given } = JSON.parse(text);
    const answer = await ASKED[what](given);
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
}

main();
