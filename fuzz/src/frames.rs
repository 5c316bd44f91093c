//! The reader of frames against a naive one, with any bytes in any pieces.

use crate::input::{Input, noise};
use russula_proto::wire::{FrameReader, LENGTH_PREFIX_LEN, MAX_FRAME_LEN, MIN_FRAME_LEN};

/// Reads the stream that `data` describes, in the pieces that it describes.
pub fn frames(data: &[u8]) {
    let mut input = Input::new(data);
    let pieces: Vec<usize> = (0..input.below(16)).map(|_| input.len().max(1)).collect();
    let stream = stream(&mut input);

    let expected = naive(&stream);
    let mut reader = FrameReader::default();
    let mut frames = vec![];
    let mut rest = &stream[..];
    let mut pieces = pieces.iter().copied().cycle();
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(pieces.next().unwrap_or(usize::MAX).min(rest.len()));
        rest = after;
        if let Err(len) = read(&mut reader, piece, &mut frames) {
            assert_eq!(Some(len), expected.broken_by);
            assert_eq!(frames, expected.frames);
            return;
        }
    }
    assert_eq!(expected.broken_by, None);
    assert_eq!(frames, expected.frames);
    assert_eq!(reader.is_mid_frame(), expected.is_mid_frame);
}

/// Bytes as they are, and frames and lengths that would take too many of them.
fn stream(input: &mut Input) -> Vec<u8> {
    let mut stream = vec![];
    while !input.is_empty() && stream.len() < STREAM_MAX {
        match input.below(3) {
            0 => {
                let len = input.below(64);
                stream.extend_from_slice(input.take(len));
            }
            1 => {
                let len = MIN_FRAME_LEN + input.len() % (MAX_FRAME_LEN - MIN_FRAME_LEN + 1);
                let prefix = u16::try_from(len).expect("the limit of a frame fits");
                stream.extend_from_slice(&prefix.to_be_bytes());
                stream.extend(noise(input.byte(), len));
            }
            _ => {
                let near = input.one_of(&[0, MIN_FRAME_LEN, MAX_FRAME_LEN, usize::from(u16::MAX)]);
                let len = (near + input.below(5)).saturating_sub(2);
                stream.extend_from_slice(&u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes());
            }
        }
    }
    stream
}

/// Reads all of `piece`; the error is a length that no frame has.
fn read(reader: &mut FrameReader, mut piece: &[u8], frames: &mut Vec<Vec<u8>>) -> Result<(), u16> {
    while !piece.is_empty() {
        let before = piece.len();
        let frame = reader.read(&mut piece).map_err(|error| error.len)?;
        assert!(piece.len() < before, "it takes something, or goes round for ever");
        assert!(frame.is_some() || piece.is_empty(), "it takes everything before it wants more");
        assert!(reader.buffered() <= MAX_FRAME_LEN, "{} bytes held", reader.buffered());
        frames.extend(frame);
    }
    Ok(())
}

struct Parsed {
    frames: Vec<Vec<u8>>,
    broken_by: Option<u16>,
    is_mid_frame: bool,
}

fn naive(stream: &[u8]) -> Parsed {
    let mut parsed = Parsed { frames: vec![], broken_by: None, is_mid_frame: false };
    let mut at = 0;
    loop {
        parsed.is_mid_frame = at < stream.len();
        let Some(prefix) = stream.get(at..at + LENGTH_PREFIX_LEN) else { return parsed };
        let prefix = u16::from_be_bytes([prefix[0], prefix[1]]);
        let len = usize::from(prefix);
        if !(17..=16_400).contains(&len) {
            parsed.broken_by = Some(prefix);
            return parsed;
        }
        let begin = at + LENGTH_PREFIX_LEN;
        let Some(frame) = stream.get(begin..begin + len) else { return parsed };
        parsed.frames.push(frame.to_vec());
        at = begin + len;
    }
}

/// Enough for a few of the longest frames.
const STREAM_MAX: usize = 4 * MAX_FRAME_LEN;
