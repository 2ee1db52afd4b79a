//! The format: what is written is read back, and what is damaged costs no more than itself.

use super::*;

const SHARED: Shared<'_> = Shared { scope: b"scope", session: b" of session 1", tracer: b" of tracer 1 " };

/// Spans of the session that the segment is for, and of others.
fn filled(spans: usize) -> Segment {
    let mut segment = Segment::new(b"resource", SHARED, 1_700_000_000_000, 0);
    for at in 0..spans {
        let own = format!("span {at} {}", "x".repeat(at * 7 % 50));
        let shared = match at % 5 {
            0 => Shared { session: b" of the second session", ..SHARED },
            1 => Shared { scope: b"another", ..SHARED },
            2 => Shared { tracer: b" of tracer 2 ", ..SHARED },
            _ => SHARED,
        };
        segment.push(Parts { shared, own: own.as_bytes(), at: 4 });
    }
    segment
}

fn empty() -> Segment {
    Segment::new(b"", Shared::default(), 0, 0)
}

/// Returns scopes and spans in whole.
fn spans(segment: &Segment) -> Vec<(Vec<u8>, Vec<u8>)> {
    segment.next(usize::MAX).map(|span| (span.shared.scope.to_vec(), span.span().concat())).collect()
}

#[test]
fn what_is_written_is_read_back() {
    let written = filled(20);
    let read = Segment::read(written.image().to_vec()).unwrap();
    assert_eq!(spans(&read), spans(&written));
    assert_eq!(read.shared(), SHARED);
    assert_eq!((read.resource(), read.created_ms(), read.lost()), (&b"resource"[..], 1_700_000_000_000, 0));
    let texts = spans(&read).into_iter().map(|pair| <[_; 2]>::from(pair).map(|text| String::from_utf8(text).unwrap()));
    let expected = [
        ["scope", "span of the second session of tracer 1  0 "],
        ["another", "span of session 1 of tracer 1  1 xxxxxxx"],
        ["scope", "span of session 1 of tracer 2  2 xxxxxxxxxxxxxx"],
        ["scope", "span of session 1 of tracer 1  3 xxxxxxxxxxxxxxxxxxxxx"],
    ];
    assert_eq!(texts.take(4).collect::<Vec<_>>(), expected);
    let empty = Segment::read(empty().image().to_vec()).unwrap();
    assert_eq!((empty.left(), empty.lost()), (0, 0));
}

#[test]
fn settled_spans_are_not_sent_again() {
    let (mut segment, all) = (filled(5), spans(&filled(5)));
    segment.settle(3);
    let frame = segment.settled_frame();
    segment.append_frame(&frame);
    let image = segment.image().to_vec();
    assert_eq!(spans(&Segment::read(image.clone()).unwrap()), all[3..]);
    // Damage to one that is settled costs none that is not.
    let mut damaged = image;
    damaged[segment.header.end + FRAME + 9] ^= 1;
    let read = Segment::read(damaged).unwrap();
    assert_eq!((spans(&read), read.lost()), (all[3..].to_vec(), 1));
}

#[test]
fn a_file_cut_anywhere_keeps_every_whole_span() {
    let segment = filled(12);
    let all = spans(&segment);
    let ends: Vec<usize> = segment.places.iter().map(|place| place.end as usize).collect();
    for cut in 0..segment.image().len() {
        let whole = ends.iter().filter(|end| **end <= cut).count();
        match Segment::read(segment.image()[..cut].to_vec()) {
            Ok(read) => {
                assert_eq!(spans(&read), all[..whole], "cut at {cut}");
                assert_eq!(read.lost(), u64::from(!ends.contains(&cut) && cut > segment.header.end), "cut at {cut}");
            }
            Err(error) => assert!(cut < segment.header.end && error != NotASegment::Newer, "cut at {cut}"),
        }
    }
}

#[test]
fn a_flipped_bit_costs_the_span_it_hits() {
    let segment = filled(30);
    let all = spans(&segment);
    for bit in (0..segment.image().len() * 8).step_by(3) {
        let mut image = segment.image().to_vec();
        image[bit / 8] ^= 1 << (bit % 8);
        let Ok(read) = Segment::read(image) else {
            assert!(bit / 8 < segment.header.end, "bit {bit} is not in the header");
            continue;
        };
        let left = spans(&read);
        assert!(left.iter().all(|span| all.contains(span)), "bit {bit} makes a span up");
        assert!(left.len() + 1 >= all.len(), "bit {bit} costs {} spans", all.len() - left.len());
        assert_eq!(read.lost(), (all.len() - left.len()) as u64, "bit {bit}");
    }
}

#[test]
fn other_files_are_told_apart() {
    assert_eq!(Segment::read(vec![]).unwrap_err(), NotASegment::Empty);
    for foreign in [&b"H"[..], b"HHSP", b"not a segment at all", &[0; 4096]] {
        assert_eq!(Segment::read(foreign.to_vec()).unwrap_err(), NotASegment::Foreign);
    }
    let mut newer = filled(1).image().to_vec();
    newer[4] = 3;
    assert_eq!(Segment::read(newer).unwrap_err(), NotASegment::Newer);
}

#[test]
fn a_length_that_lies_reserves_nothing() {
    let mut image = empty().image().to_vec();
    image.extend_from_slice(FRAME_MAGIC);
    image.extend_from_slice(&u32::MAX.to_le_bytes());
    image.extend_from_slice(&[1; 200]);
    let read = Segment::read(image).unwrap();
    assert_eq!((read.left(), read.lost()), (0, 1));
}

#[test]
fn requests_are_as_large_as_is_allowed_but_never_empty() {
    let mut segment = empty();
    (0..10).for_each(|_| segment.push(Parts::whole(b"s", &[0; 100])));
    assert_eq!(segment.fitting(4, usize::MAX), 4);
    assert_eq!(segment.fitting(10, 350), 3, "scopes count too");
    assert_eq!(segment.fitting(10, 1), 1);
    segment.settle(10);
    assert_eq!(segment.fitting(10, 1), 0);
}

#[test]
fn what_spans_share_is_kept_once() {
    let shared = Shared { scope: b"s", session: &[7; 150], tracer: &[8; 250] };
    let mut segment = Segment::new(b"", shared, 0, 0);
    let before = segment.image().len();
    (0..10).for_each(|_| segment.push(Parts { shared, own: &[0; 100], at: 50 }));
    assert_eq!(segment.image().len() - before, 10 * (FRAME + 4 + 100));
    segment.push(Parts { shared: Shared { session: &[9; 150], ..shared }, own: &[0; 100], at: 50 });
    assert_eq!(segment.image().len() - before, 11 * (FRAME + 4 + 100) + 150, "of another session its own");
    assert_eq!(segment.bytes_of(11), 11 * 501, "but sent with each");
}

#[test]
fn what_is_too_large_to_be_shared_is_kept_with_each() {
    let attributes = vec![7; MOST_SHARED + 1];
    let large = attributes.as_slice();
    for shared in
        [Shared { scope: b"s", session: large, tracer: b"" }, Shared { scope: b"s", session: b"", tracer: large }]
    {
        let mut segment = Segment::new(b"", shared, 0, 0);
        segment.push(Parts { shared, own: b"span", at: 4 });
        let read = Segment::read(segment.image().to_vec()).unwrap();
        assert_eq!(spans(&read), [(b"s".to_vec(), [b"span", large].concat())]);
        assert_eq!(read.shared(), Shared { scope: b"s", ..Shared::default() });
    }
}

#[test]
fn a_span_that_was_cut_has_nothing_put_in_and_its_scope() {
    let mut segment = filled(3);
    segment.replace_next(b"cut".to_vec());
    let request = spans(&segment);
    assert_eq!(request[0], (b"scope".to_vec(), b"cut".to_vec()));
    assert_eq!(request[1..], spans(&filled(3))[1..]);
}

#[test]
fn a_segment_leaves_in_requests_of_bounded_size() {
    let (mut segment, all) = (filled(9), spans(&filled(9)));
    let mut requests = vec![];
    while let Some((request, count)) = segment.take_request(4, usize::MAX) {
        assert!(request.len() > all.iter().take(count).map(|(_, span)| span.len()).sum::<usize>());
        requests.push(count);
    }
    assert_eq!((requests, segment.left()), (vec![4, 4, 1], 0));
}

/// Returns ten spans, of which the third has this text, the place of its frame, and that of the one after.
fn with_a_text(text: &[u8]) -> (Segment, usize, usize) {
    let mut segment = Segment::new(b"", SHARED, 0, 0);
    let own = |at: usize| if at == 2 { text } else { b"span of twenty bytes" };
    (0..10).for_each(|at| segment.push(Parts { shared: SHARED, own: own(at), at: 0 }));
    let ends = segment.places.iter().map(|place| place.end as usize).collect::<Vec<_>>();
    (segment, ends[1], ends[2])
}

#[test]
fn a_damaged_length_hides_no_sound_frame_whatever_the_text_says() {
    for text in [&b"a text"[..], b"HHFR and HHFR as people write them", &[b"HHFR"[..].to_vec(), vec![0; 60]].concat()] {
        let (segment, third, fourth) = with_a_text(text);
        let ends: Vec<usize> = segment.places.iter().map(|place| place.end as usize).collect();
        // It seems to end where another does.
        for end in &ends[3..] {
            let mut image = segment.image().to_vec();
            image[third + 4..third + 8].copy_from_slice(&((end - third - FRAME) as u32).to_le_bytes());
            let read = Segment::read(image).unwrap();
            assert_eq!((read.left(), read.lost()), (9, 1), "{text:?} {fourth}..{end}");
        }
    }
}

#[test]
fn what_a_text_says_of_what_is_settled_is_not_believed() {
    let mut lie = Segment::default();
    lie.frame(SETTLED, &[&u64::MAX.to_le_bytes()]);
    let (segment, _, fourth) = with_a_text(&lie.image);
    let mut torn = segment.image()[..fourth].to_vec();
    torn[fourth - lie.image.len() - 5] ^= 1;
    let read = Segment::read(torn).unwrap();
    assert_eq!((read.left(), read.settled()), (2, 0));
}

#[test]
fn an_offset_that_lies_costs_its_span() {
    let mut segment = Segment::new(b"", SHARED, 0, 0);
    segment.frame(SHARING, &[&9_u32.to_le_bytes(), b"eight of"]);
    segment.frame(OTHER_SESSION, &[&9_u32.to_le_bytes(), b"eight of"]);
    segment.frame(SHARING, &[b"abc"]);
    segment.push(Parts { shared: SHARED, own: b"eight of", at: 8 });
    let read = Segment::read(segment.image().to_vec()).unwrap();
    assert_eq!((read.left(), read.lost()), (1, 3));
}
