//! Tests of the whole front end: error texts, instruction selection, and the invariants that
//! [`crate::bytecode`] promises, over generated and real programs.

mod errors;

use std::path::Path;

use super::*;
use crate::bytecode::{Constant, Count, Dst, MAX_REGISTERS, MULTI, Operand, Reg, Up, UpvalDesc};
use crate::syntax::MAX_DEPTH;

fn compiled(source: &str) -> ProtoData {
    let proto =
        compile(source.as_bytes(), "=input", MAX_DEPTH).unwrap_or_else(|e| panic!("{e}\n{source}"));
    check_invariants(&proto);
    proto
}

fn message(source: &str) -> String {
    match compile(source.as_bytes(), "=input", MAX_DEPTH) {
        Ok(_) => panic!("compiled: {source}"),
        Err(error) => error.message,
    }
}

/// The instructions of a main function without its prologue and epilogue.
fn body(source: &str) -> Vec<Op> {
    let code = compiled(source).code;
    code[1..code.len() - 1].to_vec()
}

/// As [`body`], in words.
fn listing(source: &str) -> Vec<String> {
    body(source).iter().map(|op| format!("{op:?}")).collect()
}

/// Asserts BC2 to BC6 and BC8 of the bytecode, and the operands that BC1 covers, for all functions.
fn check_invariants(proto: &ProtoData) {
    let code = &proto.code;
    assert!((2..=MAX_REGISTERS).contains(&proto.max_stack.into()));
    assert_eq!(code.len(), proto.line_info.len());
    assert!(matches!(
        code.last(),
        Some(Op::Return { .. } | Op::ReturnCloseAll { .. } | Op::Return0 | Op::Return1 { .. })
    ));
    assert_eq!(proto.is_vararg, matches!(code[0], Op::VarArgPrep { .. }));
    let limit = Reg(proto.max_stack);
    let mut sets_top = false;
    for (pc, op) in code.iter().enumerate() {
        let context = || format!("{pc}: {op:?}\n{proto}");
        if let Some(offset) = op.offset() {
            let is_back =
                matches!(op, Op::JmpBack { .. } | Op::ForLoop { .. } | Op::TForLoop { .. });
            assert_eq!(offset.is_back(), is_back, "{}", context());
            assert!((0..code.len()).contains(&offset.target(pc)), "{}", context());
        }
        for operand in op.operands() {
            match operand {
                Operand::Reg(register) | Operand::Dst(Dst(register)) => {
                    assert!(register < limit, "{}", context());
                }
                Operand::Const(k) => {
                    assert!((k.0 as usize) < proto.constants.len(), "{}", context());
                }
                Operand::Up(upvalue) => {
                    assert!(usize::from(upvalue.0) < proto.upvalues.len(), "{}", context());
                }
                Operand::Child(child) => {
                    assert!((child.0 as usize) < proto.protos.len(), "{}", context());
                }
                _ => {}
            }
        }
        let uses_top = match *op {
            Op::Call { func, args, .. } | Op::TailCall { func, args, .. } => {
                assert!(args == MULTI || func + args.0 < limit, "{}", context());
                args == MULTI
            }
            Op::Return { first, count, .. } | Op::ReturnCloseAll { first, count } => {
                assert!(
                    count == MULTI || count == Count(0) || first + count.0 <= limit,
                    "{}",
                    context()
                );
                count == MULTI
            }
            Op::SetList { table, count, first } => {
                assert!(first >= 1 && (count == MULTI || table + count.0 < limit), "{}", context());
                count == MULTI
            }
            _ => false,
        };
        assert_eq!(uses_top, sets_top, "{}", context());
        sets_top = matches!(op, Op::Call { results: MULTI, .. } | Op::VarArg { count: MULTI, .. });
        match *op {
            Op::SelfField { dst: Dst(dst), key, .. } => {
                assert!(dst + 1 < limit, "{}", context());
                assert!(matches!(proto.constants[key.0 as usize], Constant::Str(_)));
            }
            Op::TForPrep { base, offset } => {
                let call = code[offset.target(pc)];
                assert!(matches!(call, Op::TForCall { base: b, .. } if b == base), "{}", context());
            }
            Op::ForPrep { base, .. } | Op::ForLoop { base, .. } => {
                assert!(base + 3 < limit, "{}", context());
            }
            Op::TForCall { base, count } => {
                assert!(base + 6 < limit && base + 3 + count < limit, "{}", context());
                let next = code[pc + 1];
                assert!(matches!(next, Op::TForLoop { base: b, .. } if b == base), "{}", context());
            }
            Op::Return0 | Op::Return1 { .. } => assert!(!proto.is_vararg, "{}", context()),
            Op::GetField { key, .. }
            | Op::SetField { key, .. }
            | Op::GetTabUp { key, .. }
            | Op::SetTabUp { key, .. } => {
                assert!(matches!(proto.constants[key.0 as usize], Constant::Str(_)));
            }
            Op::AddK { k, .. } | Op::BAndK { k, .. } => {
                let constant = &proto.constants[k.0 as usize];
                assert!(matches!(constant, Constant::Int(_) | Constant::Float(_)));
            }
            _ => {}
        }
    }
    proto.protos.iter().for_each(check_invariants);
}

#[test]
fn errors_read_as_those_of_c_lua() {
    for (source, expected) in errors::ERRORS {
        assert_eq!(message(source), format!("input:{expected}"), "{source:?}");
    }
}

#[test]
fn limits_are_errors() {
    let locals = (1..=201).map(|i| format!("local a{i}\n")).collect::<String>();
    assert_eq!(
        message(&locals),
        "input:202: too many local variables (limit is 200) in main function near <eof>"
    );
    assert_eq!(
        message(&format!("\nfunction f() {locals} end")),
        "input:203: too many local variables (limit is 200) in function at line 2 near 'end'"
    );
    // 3 * 100 variables in nested functions, used by an innermost one.
    let mut source = String::new();
    for i in 0..300 {
        source += &format!("local a{i}\n");
        if i % 100 == 99 {
            source += "local function f()\n";
        }
    }
    let uses = (0..300).map(|i| format!("x = a{i}\n")).collect::<String>();
    source += &format!("{uses} end end end");
    assert!(
        message(&source).contains("too many upvalues (limit is 255) in function at line"),
        "{}",
        message(&source)
    );
    let arguments = (0..260).map(|i| format!("a{i}")).collect::<Vec<_>>().join(",");
    assert_eq!(
        message(&format!("f({arguments})")),
        "input:1: function or expression needs too many registers near 'a254'"
    );
    compiled(&format!("x = {{{arguments}}}"));
}

#[test]
fn nesting_is_bounded_and_chains_are_not() {
    let shapes = [
        ("x = ", "(", "1", ")"),
        ("x = ", "{", "1", "}"),
        ("x = ", "- ", "1", ""),
        ("x = ", "1 ^ ", "1", ""),
        ("x = ", "f(", "1", ")"),
        ("x = ", "t[", "1", "]"),
        ("x = ", "function() return ", "1", " end"),
        ("", "do ", "", " end"),
        ("", "if a then else ", "", " end"),
        ("", "repeat ", "", " until a"),
        ("", "local function f() ", "", " end"),
    ];
    for (start, open, middle, close) in shapes {
        let nested =
            |depth: usize| format!("{start}{}{middle}{}", open.repeat(depth), close.repeat(depth));
        compiled(&nested(90));
        for depth in [300, 100_000] {
            assert_eq!(message(&nested(depth)), "C stack overflow", "{open}");
        }
    }
    compiled(&format!("x = {}1", "a + ".repeat(100_000)));
    compiled(&format!("x = {}1", "a and b or ".repeat(20_000)));
    compiled(&format!("x = a{}", ".b()[1]".repeat(50_000)));
    compiled(&format!("if a then {} end", "elseif b then ".repeat(50_000)));
    // C Lua recurses for these.
    assert_eq!(message(&format!("x = {}a", "a .. ".repeat(300))), "C stack overflow");
    assert_eq!(message(&format!("{}a = 1", "a, ".repeat(300))), "C stack overflow");
}

/// Each would take minutes if looking for a label, or for the end of a chain of jumps, took longer
/// the more of them there are.
#[test]
fn a_function_may_have_any_number_of_labels_and_gotos() {
    let each = |count: usize, statement: fn(usize) -> String| -> String {
        (0..count).map(statement).collect()
    };
    const MANY: usize = 100_000;
    let labels = each(MANY, |i| format!("::l{i}:: "));
    for source in [
        each(MANY, |i| format!("::l{i}:: goto l{i} ")),
        each(MANY, |i| format!("goto l{i} ")) + &labels,
        each(MANY, |i| format!("goto l{} ", MANY - 1 - i)) + &labels,
        each(MANY, |_| "do goto l end ".to_owned()) + "::l::",
        each(MANY, |_| "do goto continue ::continue:: end ".to_owned()),
        format!("while x do {} end", "if x then break end ".repeat(MANY)),
    ] {
        compiled(&source);
    }
    let missing = each(MANY, |i| format!("goto l{i} ")) + "goto l " + &labels;
    assert_eq!(message(&missing), "input:1: no visible label 'l' for <goto> at line 1");
}

#[test]
fn early_end_of_source_is_told_apart() {
    for source in ["x =", "if a then", "f(", "x = {1,", "--[[", "x = [[abc", "x = 'abc"] {
        assert!(compile(source.as_bytes(), "=input", MAX_DEPTH).unwrap_err().at_eof, "{source}");
    }
    for source in ["x = = 1", "x = 'abc\n'", "end"] {
        assert!(!compile(source.as_bytes(), "=input", MAX_DEPTH).unwrap_err().at_eof, "{source}");
    }
}

#[test]
fn operands_take_the_cheapest_form() {
    assert_eq!(
        listing("local a, b; a = a + 1; a = 2 * a; a = a - 0.5; a = 1 - a; b = a & 0xFFFFFFFF"),
        [
            "LoadNil { first: R0, count: 2 }",
            "AddI { dst: R0, lhs: R0, flip: false, imm: 1 }",
            "MulI { dst: R0, lhs: R0, flip: true, imm: 2 }",
            "SubK { dst: R0, lhs: R0, k: K0 }",
            "LoadI { dst: R2, value: 1 }",
            "Sub { dst: R0, lhs: R2, rhs: R0 }",
            "BAndK { dst: R1, lhs: R0, flip: false, k: K1 }",
        ]
    );
    assert_eq!(
        listing("local t, i; t[i] = t[1]; t.x = t.y; t.x = nil; t[i] = true"),
        [
            "LoadNil { first: R0, count: 2 }",
            "GetInt { dst: R2, table: R0, index: 1 }",
            "SetIndex { table: R0, key: R1, value: R2 }",
            "GetField { dst: R2, table: R0, key: K1 }",
            "SetField { table: R0, value: R2, key: K0 }",
            "SetFieldK { table: R0, key: K0, value: K2 }",
            "SetIndexK { table: R0, key: R1, value: K3 }",
        ]
    );
}

#[test]
fn conditions_branch_directly() {
    assert_eq!(
        listing("local a, b; if a < b and not (a == 3) or b then a = 1 end"),
        [
            "LoadNil { first: R0, count: 2 }",
            "NotLt { lhs: R0, rhs: R1, offset: 1 }",
            "NotEqI { lhs: R0, imm: 3, offset: 1 }",
            "JmpIfNot { src: R1, offset: 1 }",
            "LoadI { dst: R0, value: 1 }",
        ]
    );
    assert_eq!(
        listing("local a; while a ~= nil do if a > 5 then break end end"),
        [
            "LoadNil { first: R0, count: 1 }",
            "EqK { lhs: R0, k: K0, offset: 2 }",
            "GtI { lhs: R0, imm: 5, offset: 1 }",
            "JmpBack { offset: -3 }",
        ]
    );
    assert_eq!(
        listing("local a, b; local c = a or b; local d = a <= b"),
        [
            "LoadNil { first: R0, count: 2 }",
            "MoveJmpIf { dst: R2, src: R0, offset: 1 }",
            "Move { dst: R2, src: R1 }",
            "Le { lhs: R0, rhs: R1, offset: 2 }",
            "LoadFalse { dst: R3 }",
            "Jmp { offset: 1 }",
            "LoadTrue { dst: R3 }",
        ]
    );
}

#[test]
fn constants_fold_unless_the_result_could_differ() {
    assert_eq!(
        listing("return 2 + 3 * 4 << 1, -(2 ^ 2), 7 // 2, not nil")[..4],
        [
            "LoadI { dst: R0, value: 28 }",
            "LoadK { dst: R1, k: K0 }",
            "LoadI { dst: R2, value: 3 }",
            "LoadTrue { dst: R3 }",
        ]
    );
    for source in ["return 1 // 0", "return 1 % 0", "return 0.0 * 1", "return -0.0", "return 1 / 0"]
    {
        let code = body(source);
        assert!(code.len() > 2, "{source} was folded: {code:?}");
    }
    let proto = compiled("local a <const>, b <const> = 1, 'x'; return function() return b end");
    assert_eq!(proto.protos[0].upvalues, []);
    assert_eq!(proto.protos[0].constants, [Constant::Str((*b"x").into())]);
    let proto = compiled("return 1.0, 0.0, -0.0, 'a', 'a', 1e100, 1e100");
    let floats = proto.constants.iter().filter(|c| matches!(c, Constant::Float(_))).count();
    assert_eq!((floats, proto.constants.len()), (3, 4));
}

#[test]
fn captured_variables_are_closed_and_fresh() {
    let code = body("for i = 1, 3 do f(function() return i end) end");
    assert!(matches!(code[code.len() - 2..], [Op::Close { from: Reg(3) }, Op::ForLoop { .. }]));
    let code = body("for i = 1, 3 do f(i) end");
    assert!(!code.iter().any(|op| matches!(op, Op::Close { .. })));
    // Returns close only where a variable was captured.
    let proto = compiled(
        "local function f() return 1 end local function g(x) return function() return x end end",
    );
    assert!(matches!(proto.protos[0].code[1], Op::Return1 { .. }));
    assert!(matches!(proto.protos[1].code[1], Op::Return { count: Count(1), close: true, .. }));
    let inner = &compiled("local x; function f() return function() x = 1 end end").protos[0];
    let desc = |source| UpvalDesc { name: (*b"x").into(), source };
    assert_eq!(inner.upvalues, [desc(UpvalSource::ParentRegister(Reg(0)))]);
    assert_eq!(inner.protos[0].upvalues, [desc(UpvalSource::ParentUpvalue(Up(0)))]);
}

/// BC9, and that functions without such variables have none of it.
#[test]
fn variables_are_closed_where_their_scope_is_left() {
    let count =
        |source: &str, wanted: fn(&Op) -> bool| body(source).iter().filter(|op| wanted(op)).count();
    let leaves = |op: &Op| matches!(op, Op::CloseAll { .. });
    let returns = |op: &Op| matches!(op, Op::ReturnCloseAll { .. });
    let calls_in_place = |op: &Op| matches!(op, Op::TailCall { .. });
    assert_eq!(count("do local x <close> = a end", leaves), 1);
    assert_eq!(count("do local x <const> = a end", leaves), 0);
    // A loop ends where `break` lands, and closes for both.
    assert_eq!(count("while a do local x <close> = b if c then break end end", leaves), 2);
    assert_eq!(count("for i in a do if b then break end end", leaves), 1);
    assert_eq!(count("for i in a do end", leaves), 0);
    assert_eq!(count("::l:: local x <close> = a goto l", leaves), 1);
    assert_eq!(count("local x <close> = a return 1, 2", returns), 1);
    assert_eq!(count("do local x <close> = a end return 1", returns), 0);
    assert_eq!(count("for i in a do return i end return 1", returns), 1);
    assert_eq!(count("local x <close> = a return b()", calls_in_place), 0);
    assert_eq!(count("for i in a do return b() end", calls_in_place), 0);
    assert_eq!(count("do local x <close> = a end return b()", calls_in_place), 1);
}

#[test]
fn values_have_names() {
    let named = |source: &str, wanted: &str| {
        let proto = compiled(source);
        // The last call of the main function is the one to describe.
        let pc = proto.code.iter().rposition(|op| matches!(op, Op::Call { .. })).unwrap();
        let name = describe_call(&proto, pc).map(|(kind, name)| format!("{kind} {name}"));
        assert_eq!(name.unwrap_or_default(), wanted, "{source}");
    };
    named("f()", "global f");
    named("local f; f()", "local f");
    named("t.x.f()", "field f");
    named("t:m(1)", "method m");
    named("t[1]()", "field integer index");
    named("local k; t[k]()", "field ?");
    named("('x')()", "constant x");
    named("local _ENV = {}; f()", "global f");
    named("(a or b)()", "");
    let proto = compiled("local f; return function() f() end");
    assert_eq!(describe_call(&proto.protos[0], 1), Some((NameKind::Upvalue, "f".to_owned())));
    let proto = compiled("local a; return a.b");
    assert_eq!(describe_register(&proto, 2, Reg(0)), Some((NameKind::Local, "a".to_owned())));
    assert_eq!(describe_call(&proto, 2), Some((NameKind::Metamethod, "index".to_owned())));
}

#[test]
fn lines_are_those_of_the_source() {
    let proto = compiled("local a = f\n(1)\nlocal b = a +\nc\n\nreturn b");
    let line_of =
        |wanted: fn(&Op) -> bool| proto.line_info[proto.code.iter().position(wanted).unwrap()];
    assert_eq!(line_of(|op| matches!(op, Op::Call { .. })), 1);
    assert_eq!(line_of(|op| matches!(op, Op::Add { .. })), 3);
    assert_eq!(line_of(|op| matches!(op, Op::Return { count: Count(1), .. })), 6);
}

#[test]
fn listings_show_constants_and_targets() {
    let listing = compiled("if x == 'a' then y = 1.5 end").to_string();
    assert_eq!(
        listing,
        "function <input:0,0> params=0+ registers=2 upvalues=1\n    \
         0 [1] VarArgPrep { params: 0 }\n    \
         1 [1] GetTabUp { dst: R0, upval: U0, key: K0 } ; \"x\"\n    \
         2 [1] NotEqK { lhs: R0, k: K1, offset: 2 } ; to 5 ; \"a\"\n    \
         3 [1] LoadK { dst: R0, k: K3 } ; 1.5\n    \
         4 [1] SetTabUp { upval: U0, value: R0, key: K2 } ; \"y\"\n    \
         5 [1] Return { first: R0, count: 0, close: false }\n"
    );
}

#[test]
fn all_scripts_compile() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let entries = std::fs::read_dir(&directory).expect("the crate comes with scripts");
    let mut count = 0;
    for entry in entries {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "lua") {
            let source = std::fs::read(&path).unwrap();
            let name = format!("@{}", path.display());
            let proto =
                compile(&source, &name, MAX_DEPTH).unwrap_or_else(|error| panic!("{error}"));
            check_invariants(&proto);
            count += 1;
        }
    }
    assert!(count > 0);
}
