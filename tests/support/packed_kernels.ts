/**
 * One small ELF-like file in the formats that Linux packs its kernel in, made by the tools that
 * Linux' build uses.
 */

import { Random } from "./random.ts";

/** What all of them unpack to: many bytes that x86 branches are made of, close together. */
export function unpackedKernel(): Uint8Array<ArrayBuffer> {
  const random = new Random(8086);
  const bytes = new Uint8Array(1024);
  bytes.set([0x7f, 0x45, 0x4c, 0x46]);
  for (let i = 4; i < bytes.length; i++) {
    bytes[i] = random.pick([0xe8, 0xe9, 0xe8, 0, 0, 0xff, 0x05]);
  }
  return bytes;
}

const BASE64 = {
  /** xz --check=crc32 --x86 --lzma2=preset=9e */
  xzX86:
    "/Td6WFoAAAFpIt42AgEEACEBHACHbtrl4AP/AnldAD+RRYRoXLw09cEUjV3ZCWnMSZTuHO9mZqVx/4+oy9kB2xRG+tapY4pANfp4sYJNnAnm/s9gDbl4uuTv9/mEasdZhhxbtUSgio7Re46nqtLi6OxmucwkZHL1r5vOZQBHF4HW9ml0RN6NsSIgD4lcOBHGm1mZq+LxM0NWC0rUAgYzH3pKCpvcEwvEEzGudPZFVUzcRhtpOXmXCoS+6KVRgarLI9RSTNUw+j2u3LeQWwqd/hwwCNi2vS3mvvmDGlQUc1RFoJxvpXa7wbKKphxOoNHwIzCgCp2dy0ldmGXONKiH2BEmFJMsxBucbT+Li2oDDQrIn5LHSR2HukENsI3/t/EpbiaEK2Ane2ly5RhSnUahX20oO/q6+IMagyq7ZdJN3zbL9aseIlyY2TyXKdtQSOb0AraAbtyz2bQpj2/6pilOTpg5j9gIDGvFQX0v1NYt5F25P1ssKGjdj8CmdDwgGatze7HJ1iQ2QK25W9lCFjfba6zrkC+RsqCTq2ycze5HyY0JUzuDF3/w51KIpNGd6MlfpEWptI5I9kKzrkcyD4HBwqu71hA7BkO7f28qHhbQ2hlKNXIU98TzVC7jh2m/wJdJn5/BhztKNOx5CNluy5cectj3lXK+HPi7Q5UBqpIe9Qi4QveFqENWtds42yo//AiN29kzNlW7L8UMGuxgc1HJEdl37c3eFAXJ6n2OvsGMvC8VRaCUEsmbgsZUSWaNeETP450I8EkBiDhkSxyassdywrdCjabtA9BHBAhuE5ly3KvjaZmGmIlbstrEXFI+ufbNnAYD3BWZxYd+LwgD7Tfsv6ifdulBTAWFd2qiktf01xuElK/gpYJpkAAAAADIdvD3AAGRBYAIAADIecU+PjANiwIAAAAAAVla",
  /** xz --check=crc32 --lzma2=preset=9e */
  xz:
    "/Td6WFoAAAFpIt42AgAhARwAAAAQz1jM4AP/AdVdAD+RRYRoXLw09cEUjV3ZCWnNC/6jd/ZWtW9+fSjNsolq8ys7Vam2Vljk2/Mdqne8HWZ8WcS2TiQBSWZiFlXXvKAJrQAd0VPFE/dFLBg2gYDv9jE+DrFmhABXC8AvpL9IV8NE15IRKaNw293L8S1ZA2DrCmrKvgF11WPrMaMIzedFrndRU3Sp9Wc4JwLEusp9+CHO9wBcG1WLIAvJW8SQOaAlbnUEiOBRBxjlb3fiOeaUctv0KILZZ7ztjhpIa076Dyb2xUrufCr12nHkMVteBCrGEnd6X1jA6jlnjSXW/+sH8sVMFfWhaciuHXn4cRoxfNPS28UrvLVC88vff/y5NRpZJRNxT5EDU+/Rt9WSlvoQFGxJDubTzm8mbOnGkbrJzsSuPrmvVFYwU/ZaNJaUDTb0AS92IG/+vRzU8PI39X4oiWTZR6LiBNgXMWNgzNiHTL8fpLRtQ16kZhZ6scvDdDVn1bQoAS2st9kgjgoDiDBkUhNBGJS0o4wa2ZaTl6UaCASS7PhEnUHZ/jQcIQNxDMBLHRHpxROtoO8NSf+TBUJWRuuauzuRG8FUfBjTbUfnz6orhT7DCX7LPgv02kaMCwZ8HGmUo+YscYqi8pWUmM8CMRkgPwAAAAAAyHbw9wAB7QOACAAA0kFlzT4wDYsCAAAAAAFZWg==",
  /** zstd -19 --no-check */
  zstd:
    "KLUv/WAAA50KAApAOAUO4BnGFNQAuAA84ABAxRRPAFEASwDRketPoriPuqQ+xUh9lUt1xUrvOO18JO6ILyoXmXdEuj2mI9GR895fEV72YSdXo4SmKg6rTjHjIjre7kq+vVQ23sLPouvqus/43WgDARgCR9zFasIv0e6Y8xrGsY7uOiJOx5/z244TReRIj06KSOLICEu9RXV8/igpiZzbMZLPanzJZ1IkMUeFRUrq/j2ZbqPqRHw+Irz1Si46d5hPOucHH4/OVFJeV13KTb5Dc09FmLF2nd5o66+w5N43iSj5uMRKW+lfmePfJY7f3Cf0iz5y/ibbrpPhv6m6P9nWJiIslXRWxPF5GHGMqC7vhntHcRpXl8TtcWwRk/lKEVqJ6HIywqiTPraKTIsobzmmNpNKW/Z9RS5eqxapqkiU8d9FKmNUiXh3xJTVsamI22oT5XIPzykyjstxOartAA==",
  /** lz4 -l -9 */
  lz4:
    "AiFMGPkCAADwB39FTEYF6ADpBegF6Ojo6QUA6OgA6AADAAIHACDpABMAQAXpAAUeAODo/wAA/wDoBegA6Oj//yAAEegZAFDoAOnpAD4AQAX/AP88AFAABeno6QgAwP8FBen/AOkFBQXoBRsA8AAF6ejoAAUAAOgF6ekAAOhuAGAF6Oj/6P9EAAAFADH/Bf9gAEAA/+npHQBQAAUA6QB4AEHpAOjoEwAAJwAQ6EsAMQUA6CMAEAVwABL/tQAR/ywAAMYAMQD/6Y4AAAoAEP8cAAB6AGDo6QDp//93ABIAcwBA6OgFAE0AABUAQf8F6egNACLpAN4AMQUF6KkAAXAAMujp6dsAEumfAADPAAA0ASLoAGIAUP/pAAXpZgCi/wX////pAP//BSYBIejo/wAAYQAAkwAAMgEAdAAQ6TQAEP+CAAFdAABbAAFmAQDEALAF6ekFAOno6f//6UkAAKgAEAURAAAPACDp/y0AAYMBAbsAATwAIP/opgACkQEACAByBf/o6QXpBVsBIQX/qAERBYwAMAXp/44AEOkrABHpEwESBToBEOmcAEDp6QXpVwAw6OnooAEQBekAE/+SADDp/wVaAAC/ARP/9wAA4AEAAwEhBendASMA6B8AIgXonQAh6ehNARDoBQIAMgABGQAA2AAAfgAw6OgFnQABrgEDxQFR6AD/AACoABHpOwEw6en/MwARBTwAAIUAAjMCEgCyAhTodAARBXsCALEAAJMBUgUABQXpogIADQAAEwITAM8CIgUAzwARBScBEQXHABEF/QAR6HQAAQUAAHsBcQD/6P/oBelOAABSAgL8AAF2AQFnABIFsQEAUAAQBUgCAEcBMf/p/x4CAdMAIv/p4wAATgAA2QIAggABFgAQBX4BAIsAAKoCAdAAEgASAwL9AAA2AiEF6FcAIOj/DwIABQEiAAUHAwAlACHp6K0CAGkAEel2AQDfABDpewAQBQIBALcCAFUBAJcAAS4AIenotQACAwMApAMANgOgAOnoAOgF6AXpBQ==",
} as const;

/** `unpackedKernel()` as the tool wrote it. */
export function packedKernel(format: keyof typeof BASE64): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(BASE64[format]), (char) => char.charCodeAt(0));
}
