// `node client.js STATE ROOT BASE OUT PATH...`: a TUF client of other people (`tuf-js`) over our repository, which knows succinct
// bins. Trusts ROOT, goes on from STATE, updates, and writes each target to OUT by its number.

const fs = require("node:fs");
const path = require("node:path");
const { Updater } = require("tuf-js");

const [state, root, base, out, ...paths] = process.argv.slice(2);

async function main() {
  fs.mkdirSync(state, { recursive: true });
  const known = path.join(state, "root.json");
  if (!fs.existsSync(known)) fs.copyFileSync(root, known);
  const updater = new Updater({
    metadataDir: state,
    metadataBaseUrl: `${base}/tuf`,
    targetDir: out,
    targetBaseUrl: `${base}/tuf/targets`,
  });
  await updater.refresh();
  console.log(`root ${JSON.parse(fs.readFileSync(known)).signed.version}`);
  for (const [number, target] of paths.entries()) {
    const info = await updater.getTargetInfo(target);
    if (info) fs.renameSync(await updater.downloadTarget(info, path.join(out, `${number}.new`)), path.join(out, String(number)));
    console.log(info ? `${target} ${info.length}` : `${target} absent`);
  }
}

main().catch((error) => {
  console.error(`Error: ${error.stack}`);
  process.exitCode = 1;
});
