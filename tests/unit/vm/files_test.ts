import { assert, assertEquals, assertRejects } from "@std/assert";
import { DenovisorError } from "../../../src/base/errors.ts";
import { readSource } from "../../../src/vm/files.ts";
import { programs, testWith } from "../../support/requirement.ts";

Deno.test("a path, a file: URL and bytes give the same contents", async () => {
  await using folder = await temporary();
  const path = `${folder.path}/a file`;
  await Deno.writeTextFile(path, "contents");
  const contents = new TextEncoder().encode("contents");
  assertEquals(await readSource("kernel", path), { name: path, bytes: contents });
  const url = new URL("a%20file", `file://${folder.path}/`);
  assertEquals(await readSource("kernel", url), { name: path, bytes: contents });
  const copy = await readSource("kernel", contents);
  assertEquals(copy, { name: "kernel", bytes: contents });
  copy.bytes[0] = 0; // the caller's bytes stay as they are
  assertEquals(contents[0], 0x63);
});

Deno.test("an empty file is empty", async () => {
  await using folder = await temporary();
  await Deno.writeTextFile(`${folder.path}/empty`, "");
  assertEquals((await readSource("initrd", `${folder.path}/empty`)).bytes.length, 0);
});

testWith(programs("mkfifo", "sh", "seq"), "a pipe is read to its end", async () => {
  await using folder = await temporary();
  const path = `${folder.path}/pipe`;
  await new Deno.Command("mkfifo", { args: [path] }).output();
  await using _writer = new Deno.Command("sh", { args: ["-c", 'seq 100000 > "$0"', path] }).spawn();
  const text = new TextDecoder().decode((await readSource("initrd", path)).bytes);
  assertEquals(text, Array.from({ length: 100_000 }, (_, i) => `${i + 1}\n`).join(""));
});

testWith(programs("mkfifo"), "a pipe that nobody writes to gives one line", async () => {
  await using folder = await temporary();
  const path = `${folder.path}/pipe`;
  await new Deno.Command("mkfifo", { args: [path] }).output();
  let timers = 0;
  const timer = setInterval(() => timers++, 10);
  await message(path, "file", `Cannot read the kernel ${path}: it is a pipe that nobody writes to`);
  clearInterval(timer);
  assert(timers > 0, "the thread goes on meanwhile");
});

testWith(programs("mkfifo", "sh", "sleep"), "a pipe that does not end has its time", async () => {
  await using folder = await temporary();
  const path = `${folder.path}/pipe`;
  await new Deno.Command("mkfifo", { args: [path] }).output();
  const args = ["-c", 'exec sleep 1000 > "$0"', path];
  await using writer = new Deno.Command("sh", { args }).spawn();
  const reading = readSource("kernel", path, { timeoutMs: 100 });
  const error = await assertRejects(() => reading, DenovisorError);
  writer.kill();
  const text = `Cannot read the kernel ${path}: it is a pipe that has not ended after 100 ms`;
  assertEquals([error.code, error.message], ["file", text]);
});

Deno.test("a file that its room cannot hold is not read; an ELF kernel may have symbols", async () => {
  await using folder = await temporary();
  const path = `${folder.path}/large`;
  await Deno.writeTextFile(path, "");
  const room = { name: "the guest's RAM", bytes: 4096 };
  const read = async () => (await readSource("kernel", path, { room })).bytes.length;
  await Deno.truncate(path, 4096);
  assertEquals(await read(), 4096);
  await Deno.truncate(path, 3 * 1024 ** 3); // takes many seconds to read
  const text = `Cannot use the kernel ${path}: it has 3221225472 bytes, the guest's RAM has 4096`;
  const error = await assertRejects(read, DenovisorError);
  assertEquals([error.code, error.message], ["image", text]);
  await Deno.writeTextFile(path, "\x7fELF");
  await Deno.truncate(path, 5000);
  await assertRejects(read, DenovisorError, "it has 5000 bytes, the guest's RAM has 4096");
  const kernels = { ...room, exceptElf: true };
  assertEquals((await readSource("kernel", path, { room: kernels })).bytes.length, 5000);
});

testWith(programs("mkfifo", "sh", "seq"), "a pipe may not outgrow its room", async () => {
  await using folder = await temporary();
  const path = `${folder.path}/pipe`;
  await new Deno.Command("mkfifo", { args: [path] }).output();
  await using _writer = new Deno.Command("sh", {
    args: ["-c", 'seq 100000 > "$0" 2> /dev/null', path],
  }).spawn();
  const room = { name: "the guest's RAM", bytes: 4096 };
  const error = await assertRejects(() => readSource("initrd", path, { room }), DenovisorError);
  const text =
    `Cannot use the initrd ${path}: it has more than 4096 bytes, the guest's RAM has 4096`;
  assertEquals([error.code, error.message], ["image", text]);
});

Deno.test("a path that is not there, is a folder or may not be read gives one line", async () => {
  await using folder = await temporary();
  await message(
    "/no/such/file",
    "file",
    "Cannot read the kernel /no/such/file: there is no such file",
  );
  await message(folder.path, "file", `Cannot read the kernel ${folder.path}: it is a directory`);
  await message("/dev/zero", "file", "Cannot read the kernel /dev/zero: it is a device");
  const file = `${folder.path}/file/below`;
  await Deno.writeTextFile(`${folder.path}/file`, "");
  const error = await assertRejects(() => readSource("kernel", file), DenovisorError, file);
  assertEquals(error.message.split("\n").length, 1);
});

Deno.test("a URL gives its body, or the server's answer as an error", async () => {
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
    const found = new URL(request.url).pathname === "/kernel";
    return found ? new Response("bytes") : new Response("", { status: 404 });
  });
  const at = `http://127.0.0.1:${server.addr.port}`;
  try {
    const read = await readSource("kernel", new URL(`${at}/kernel`));
    assertEquals(read, { name: `${at}/kernel`, bytes: new TextEncoder().encode("bytes") });
    await message(
      new URL(`${at}/other`),
      "fetch",
      `Cannot fetch the kernel ${at}/other: the server answered 404, expected 200`,
    );
  } finally {
    await server.shutdown();
  }
});

Deno.test("a server that takes too long gives one line", async () => {
  let answer = () => {};
  const options = { port: 0, hostname: "127.0.0.1", onListen: () => {} };
  const server = Deno.serve(options, () => {
    return new Promise<Response>((resolve) => answer = () => resolve(new Response("")));
  });
  const url = new URL(`http://127.0.0.1:${server.addr.port}/slow`);
  const error = await assertRejects(
    () => readSource("kernel", url, { timeoutMs: 50 }),
    DenovisorError,
  );
  assertEquals([error.code, error.message.split("\n").length], ["fetch", 1]);
  answer();
  await server.shutdown();
});

Deno.test("a server that is not there gives one line", async () => {
  const url = new URL("http://127.0.0.1:1/kernel");
  const error = await assertRejects(() => readSource("kernel", url), DenovisorError);
  assertEquals(error.code, "fetch");
  assertEquals(error.message.split("\n").length, 1);
});

async function message(source: string | URL, code: string, text: string): Promise<void> {
  const error = await assertRejects(() => readSource("kernel", source), DenovisorError);
  assertEquals([error.code, error.message], [code, text]);
}

async function temporary(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.makeTempDir();
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}
