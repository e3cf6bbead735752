// Label a text: npm install --ignore-scripts onnxruntime-node @huggingface/tokenizers; node example.mjs "Soft and warm"
import { readFileSync } from "node:fs";
import { Tokenizer } from "@huggingface/tokenizers";
import { InferenceSession, Tensor } from "onnxruntime-node";

const tokenizer = new Tokenizer(JSON.parse(readFileSync("tokenizer.json", "utf8")), {});
const session = await InferenceSession.create("model.onnx");
const ids = tokenizer.encode(process.argv[2]).ids;
const tensor = (values) => new Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
const { probability } = await session.run({ input_ids: tensor(ids), attention_mask: tensor(ids.map(() => 1)) });
console.log(probability.data[0]);
