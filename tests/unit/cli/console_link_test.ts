import { assertEquals, assertRejects } from "@std/assert";
import { DenovisorError } from "../../../src/base/errors.ts";
import { repeatUntilEnded } from "../../../src/cli/console_link.ts";

Deno.test("a guest is told the end of its input until it has ended", async () => {
  const sent: unknown[] = [];
  const guest = {
    send(text: string | Uint8Array): Promise<void> {
      if (sent.length === 3) return Promise.reject(new DenovisorError("guest-ended", "it ended"));
      sent.push(text);
      return Promise.resolve();
    },
  };
  const error = await assertRejects(() => repeatUntilEnded(guest, "\x04", 1), DenovisorError);
  assertEquals([error.code, sent], ["guest-ended", ["\x04", "\x04", "\x04"]]);
});
