//! Writes ONNX models of any size: just as much of the format as these tests need.

use std::path::Path;

/// Bytes of a message in the wire format of protocol buffers.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn number(mut self, field: u64, number: u64) -> Self {
        self.varint(field << 3);
        self.varint(number);
        self
    }

    fn bytes(mut self, field: u64, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn message(self, field: u64, message: Message) -> Self {
        self.bytes(field, message.0)
    }
}

const FLOAT: u64 = 1;

fn node(kind: &str, inputs: &[&str], output: &str) -> Message {
    let node = inputs
        .iter()
        .fold(Message::default(), |node, input| node.bytes(1, input));
    node.bytes(2, output).bytes(4, kind)
}

/// A tensor of zeros.
fn weights(name: &str, sides: [usize; 2]) -> Message {
    let dims = sides.iter().fold(Message::default(), |tensor, side| {
        tensor.number(1, *side as u64)
    });
    dims.number(2, FLOAT)
        .bytes(8, name)
        .bytes(9, vec![0; sides[0] * sides[1] * size_of::<f32>()])
}

/// A float tensor of these sides, the first of them dynamic.
fn info(name: &str, sides: &[u64]) -> Message {
    let batch = Message::default().message(1, Message::default().bytes(2, "batch"));
    let shape = sides.iter().fold(batch, |shape, side| {
        shape.message(1, Message::default().number(1, *side))
    });
    let tensor = Message::default().number(1, FLOAT).message(2, shape);
    Message::default()
        .bytes(1, name)
        .message(2, Message::default().message(1, tensor))
}

/// Writes a model over images of 8 x 8 with three labels: so many layers of `width` x `width`
/// weights, all of them zero.
pub fn write_large(path: &Path, layers: usize, width: usize) {
    let mut graph = Message::default()
        .message(1, node("GlobalAveragePool", &["image"], "pooled"))
        .message(1, node("Flatten", &["pooled"], "layer 0"))
        .bytes(2, "large");
    for layer in 0..layers {
        let sides = [
            if layer == 0 { 3 } else { width },
            if layer + 1 == layers { 3 } else { width },
        ];
        let (name, input) = (format!("weights {layer}"), format!("layer {layer}"));
        let output = match layer + 1 == layers {
            true => "logits".to_owned(),
            false => format!("layer {}", layer + 1),
        };
        graph = graph
            .message(1, node("MatMul", &[&input, &name], &output))
            .message(5, weights(&name, sides));
    }
    let graph = graph
        .message(11, info("image", &[3, 8, 8]))
        .message(12, info("logits", &[3]));
    let model = Message::default()
        .number(1, 8)
        .message(7, graph)
        .message(8, Message::default().number(2, 17));
    std::fs::write(path, model.0).unwrap();
}

/// Writes a model over images of `side` x `side` with `labels` labels, which takes the first of
/// them to be as likely as any.
pub fn write_classifier(path: &Path, side: u64, labels: usize) {
    let graph = Message::default()
        .message(1, node("GlobalAveragePool", &["image"], "pooled"))
        .message(1, node("Flatten", &["pooled"], "means"))
        .message(1, node("MatMul", &["means", "weights"], "logits"))
        .bytes(2, "classifier")
        .message(5, weights("weights", [3, labels]))
        .message(11, info("image", &[3, side, side]))
        .message(12, info("logits", &[labels as u64]));
    let model = Message::default()
        .number(1, 8)
        .message(7, graph)
        .message(8, Message::default().number(2, 17));
    std::fs::write(path, model.0).unwrap();
}
