;; Finds the quotes of a JSON text that nothing escapes, 64 bytes at a time. How what is escaped is found without looking at
;; single bytes: Langdale and Lemire, "Parsing Gigabytes of JSON per Second" (2019), section 3.1.1.
;;
;; Memory: the text from 0 on, 64 KiB at most; what is found from 65536 on, as 32-bit positions in the text.
;; quotes.ts holds the binary of this file; its test compiles it anew.
(module
  (memory (export "memory") 6)

  ;; The number of quotes found in the $length bytes from 0 on. $escaped is 1 where the first byte is escaped. Whole 64 bytes
  ;; are read: what follows the text must be no quote and no backslash.
  (func (export "find") (param $length i32) (param $escaped i32) (result i32)
    (local $at i32) (local $out i32) (local $end i32)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    ;; From here on a bit stands for each of 64 bytes.
    (local $quotes i64) (local $slashes i64) (local $escapes i64) (local $before i64) (local $first i64)
    (local.set $before (i64.extend_i32_u (local.get $escaped)))
    (local.set $out (i32.const 65536))
    (block $over
      (loop $next
        (br_if $over (i32.ge_u (local.get $at) (local.get $length)))
        (local.set $a (v128.load (local.get $at)))
        (local.set $b (v128.load offset=16 (local.get $at)))
        (local.set $c (v128.load offset=32 (local.get $at)))
        (local.set $d (v128.load offset=48 (local.get $at)))
        (local.set $slashes
          (i64.or
            (i64.extend_i32_u
              (i32.or
                (i8x16.bitmask (i8x16.eq (local.get $a) (i8x16.splat (i32.const 0x5c))))
                (i32.shl (i8x16.bitmask (i8x16.eq (local.get $b) (i8x16.splat (i32.const 0x5c)))) (i32.const 16))))
            (i64.shl
              (i64.extend_i32_u
                (i32.or
                  (i8x16.bitmask (i8x16.eq (local.get $c) (i8x16.splat (i32.const 0x5c))))
                  (i32.shl (i8x16.bitmask (i8x16.eq (local.get $d) (i8x16.splat (i32.const 0x5c)))) (i32.const 16))))
              (i64.const 32))))
        (local.set $quotes
          (i64.or
            (i64.extend_i32_u
              (i32.or
                (i8x16.bitmask (i8x16.eq (local.get $a) (i8x16.splat (i32.const 0x22))))
                (i32.shl (i8x16.bitmask (i8x16.eq (local.get $b) (i8x16.splat (i32.const 0x22)))) (i32.const 16))))
            (i64.shl
              (i64.extend_i32_u
                (i32.or
                  (i8x16.bitmask (i8x16.eq (local.get $c) (i8x16.splat (i32.const 0x22))))
                  (i32.shl (i8x16.bitmask (i8x16.eq (local.get $d) (i8x16.splat (i32.const 0x22)))) (i32.const 16))))
              (i64.const 32))))
        ;; Of a row of backslashes every other one escapes, from its first on: a subtraction carries through the row, and
        ;; tells rows that begin at even places from those at odd ones. Without backslashes all of it comes to $before.
        (local.set $first (i64.and (local.get $slashes) (i64.xor (local.get $before) (i64.const -1))))
        (local.set $escapes
          (i64.xor
            (i64.sub
              (i64.or (i64.shl (local.get $first) (i64.const 1)) (i64.const 0xaaaaaaaaaaaaaaaa))
              (local.get $first))
            (i64.const 0xaaaaaaaaaaaaaaaa)))
        (local.set $quotes
          (i64.and
            (local.get $quotes)
            (i64.xor
              (i64.xor (local.get $escapes) (i64.or (local.get $slashes) (local.get $before)))
              (i64.const -1))))
        (local.set $before (i64.shr_u (i64.and (local.get $escapes) (local.get $slashes)) (i64.const 63)))
        (local.set $end
          (i32.add (local.get $out) (i32.shl (i32.wrap_i64 (i64.popcnt (local.get $quotes))) (i32.const 2))))
        (block $written
          (loop $write
            (br_if $written (i32.ge_u (local.get $out) (local.get $end)))
            (i32.store (local.get $out) (i32.add (local.get $at) (i32.wrap_i64 (i64.ctz (local.get $quotes)))))
            (local.set $quotes (i64.and (local.get $quotes) (i64.sub (local.get $quotes) (i64.const 1))))
            (local.set $out (i32.add (local.get $out) (i32.const 4)))
            (br $write)))
        (local.set $at (i32.add (local.get $at) (i32.const 64)))
        (br $next)))
    (i32.shr_u (i32.sub (local.get $out) (i32.const 65536)) (i32.const 2))))
