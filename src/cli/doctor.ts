/** `denovisor doctor`: what this host can run, and what would change what it cannot. */

import { type KvmProbe, probeKvm } from "../engine/kvm/probe.ts";
import { command } from "./command.ts";
import {
  checkDeno,
  checkGuest,
  checkMemory,
  checkShim,
  checkUserfaultfd,
  checkWasm,
  type Finding,
} from "./doctor_checks.ts";
import { Status } from "./exit_status.ts";
import { quote, usage } from "./options.ts";
import { print } from "./voice.ts";

/** The subcommand. */
export const doctor = command({
  name: "doctor",
  words: "",
  summary: "Tell what this host can run, and the one line that would fix what is missing",
  details: [
    "Whether KVM runs guest kernels on the processor is found out by running a small guest. Where it " +
    "does not, the wasm engine runs guests, which needs nothing. Exit status: 0 when some engine can " +
    "run guests here, else 1.",
  ],
  examples: [],
  options: {},
  async run({ words }) {
    if (words.length > 0) throw usage(`Cannot use ${quote(words[0])}: expected no words`);
    const kvm = probeKvm();
    const wasm = checkWasm();
    const findings = [
      checkDeno(),
      checkShim(),
      ...kvmFindings(kvm),
      wasm,
      checkUserfaultfd(),
      checkMemory(),
      await checkGuest(),
    ];
    for (const finding of findings) print(lineOf(finding));
    const native = kvm.status === "ready" && kvm.ring0 === "native";
    const engine = native ? "kvm" : wasm.ok ? "wasm" : kvm.status === "ready" ? "kvm" : undefined;
    print(
      engine === undefined
        ? "No guest can run here: neither engine can be used\n"
        : `Guests can run here: --engine auto takes ${engine}\n`,
    );
    return engine === undefined ? Status.FAILED : Status.OK;
  },
});

function kvmFindings({ status, reason, fix, ring0, nsPerInstruction = 0 }: KvmProbe): Finding[] {
  const ok = status === "ready";
  const findings: Finding[] = [{ ok, text: `KVM: ${reason}`, fix }];
  if (ok) {
    const speed = `${Number(nsPerInstruction.toPrecision(2))} ns an instruction`;
    findings.push({ ok: ring0 === "native", text: `KVM, guest kernels: ${ring0}, ${speed}` });
  }
  return findings;
}

function lineOf({ ok, text, fix }: Finding): string {
  return `${ok ? "ok     " : "missing"}  ${text}${
    fix === undefined ? "" : `; to fix it: ${fix}`
  }\n`;
}
